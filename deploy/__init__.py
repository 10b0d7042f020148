"""How Mintstream is deployed: generators and rendering of `deploy/k8s`, `deploy/images`. Never in an image."""
