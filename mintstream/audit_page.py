"""The page of an audit's report, piece by piece: pure texts, of which every part that comes from outside is escaped.

Used by `audit_report`, which writes the pieces as operations come, so that the page is never held whole.
"""

from datetime import datetime
from html import escape
from typing import Final

from audit.checks import CHECKS
from audit.report import Report, Verdict
from mintstream.audit_story import story

_HEAD: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .4rem .6rem; vertical-align: top }}
tr {{ border-top: 1px solid #8886 }} td {{ overflow-wrap: anywhere }} td:first-child {{ font-family: monospace }}
pre {{ font-size: 12px; overflow-x: auto }} summary {{ cursor: pointer }}
.proven {{ color: light-dark(#176c2c, #6fcf86) }} .unknown {{ color: light-dark(#8a5a00, #e0b050) }}
.broken {{ color: light-dark(#b00020, #ff8a8a); font-weight: bold }}
</style>
<h1>{title}</h1>
<p>Of each operation this was asked. An answer is <b class="proven">proven</b>, <b class="broken">broken</b> (looked at,
and wrong) or <b class="unknown">unknown</b> (it could not be looked at); the operation's is the worst of them.
<ul>{questions}</ul>
<table><thead><tr><th>operation<th>asked for<th>verdict<th>what is not proven<th>story</thead><tbody>
"""
_END: Final = """</tbody></table>
<p>{counts}. Made at {made_at}. What vouches for this page is <code>report.json</code>, which holds its SHA-256 and is
signed: <code>mintstream audit check-report</code> checks both.
</html>
"""


def head(since: datetime, until: datetime) -> str:
    """Return the page's beginning."""
    title = f"Audit of the operations from {_moment(since)} to {_moment(until)}"
    questions = "".join(f"<li>{escape((check.__doc__ or '').splitlines()[0])}" for check in CHECKS)
    return _HEAD.format(title=title, questions=questions)


def row(report: Report) -> str:
    """Return an operation as a row."""
    wrong = "<br>".join(
        f'<span class="{each.verdict}">{each.verdict}</span> {escape(each.question)}, {escape(each.about)}: '
        f"{escape(each.reason)}"
        for each in report.findings
        if each.verdict is not Verdict.PROVEN
    )
    asked = _moment(report.steps[0].time) if report.steps else ""
    told = escape("\n".join(line.plain for line in story(report)))
    return (
        f'<tr><td>{report.operation}<td>{asked}<td class="{report.verdict}">{report.verdict}<td>{wrong}'
        f"<td><details><summary>{len(report.steps)} events</summary><pre>{told}</pre></details></tr>\n"
    )


def end(counts: str, made_at: datetime) -> str:
    """Return the page's end; `counts` says how many operations there are of each verdict."""
    return _END.format(counts=counts or "There were none", made_at=_moment(made_at))


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
