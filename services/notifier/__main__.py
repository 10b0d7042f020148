"""`python -m services.notifier`: the notifier service as a process."""

from services.notifier.main import main

main()
