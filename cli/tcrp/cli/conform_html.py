"""The report of a judgement for a browser: a summary and a page for each rule, and the badge for a README."""

from __future__ import annotations

import html

from tcrp.cli.conform_report import bounds, shown_bytes, summary
from tcrp.judge.record import Waits
from tcrp.judge.verdicts import Exchange, Judgement, Outcome, Verdict
from tcrp.spec.rules import SENTENCES

# --- HTML ----------------------------------------------------------------------------------------

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff }
a { color: #0b57a4 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid #ddd }
.holds { color: #17692c } .broken { color: #b3261e; font-weight: 600 } .not-tested { color: #5f6368 }
td:nth-child(-n+2) { white-space: nowrap }
section.rule { display: none }
section.rule:target { display: block }
section.rule:target ~ #summary { display: none }
svg { width: 100%; height: auto; background: #fafafa; border: 1px solid #ddd }
@media (prefers-color-scheme: dark) {
  body { background: #16181a; color: #e6e6e6 } a { color: #8ab4f8 }
  .holds { color: #7bd88f } .broken { color: #ff8a80 } .not-tested { color: #9aa0a6 }
  td, th { border-color: #3c4043 } svg { background: #202326; border-color: #3c4043 }
}
"""


def as_html(judgement: Judgement, waits: Waits) -> str:
    """One file: a summary, and a page for each rule, shown when its link is followed."""
    pages = "".join(_rule_page(judgement, verdict) for verdict in judgement.verdicts)
    rows = "".join(
        f'<tr><td><a href="#{each.rule}">{each.rule}</a></td><td class="{_class(each.outcome)}">{each.outcome}</td>'
        f"<td>{html.escape(each.said)}</td></tr>"
        for each in judgement.verdicts
    )
    notes = "".join(f"<p>Note: {html.escape(each)}.</p>" for each in judgement.notes)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(judgement.subject)}: '
        f'conformance</title><meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'{pages}<main id="summary"><h1>{html.escape(judgement.subject)}</h1>'
        f"<p>Dialect {html.escape(judgement.dialect)}. "
        f"<strong>{summary(judgement)}.</strong></p><p>{html.escape(bounds(judgement, waits))}</p>{notes}"
        "<table><thead><tr><th>rule</th><th>verdict</th><th>what was seen</th></tr></thead>"
        f"<tbody>{rows}"
        "</tbody></table></main></body></html>"
    )


def _class(outcome: Outcome) -> str:
    return outcome.replace(" ", "-")


def _rule_page(judgement: Judgement, verdict: Verdict) -> str:
    parts = [
        f'<section class="rule" id="{verdict.rule}"><p><a href="#summary">all rules</a></p><h1>{verdict.rule}: '
        f'<span class="{_class(verdict.outcome)}">{verdict.outcome}</span></h1><blockquote>'
        f"{html.escape(SENTENCES[verdict.rule])}</blockquote>"
    ]
    if verdict.outcome is Outcome.BROKEN:
        parts.append(f"<h2>How to repair it</h2><p>{html.escape(judgement.repairs.get(verdict.rule, ''))}</p>")
    if not verdict.findings:
        parts.append(f"<p>{html.escape(verdict.said)}</p>")
    for finding in verdict.findings:
        parts.append(
            f'<h2>Probe: {html.escape(finding.probe)}</h2><p class="{_class(finding.outcome)}">{finding.outcome}: '
            f"{html.escape(finding.said)}</p>"
        )
        if finding.evidence:
            parts.append(_drawn(finding.evidence))
    return "".join([*parts, "</section>"])


def _drawn(evidence: tuple[Exchange, ...]) -> str:
    """The exchange as a sequence diagram: a lifeline for each user, and one for the server."""
    people = list(dict.fromkeys(each.who for each in evidence if each.transport))
    step, gap, top = 26, max(640 // (len(people) + 1), 90), 40
    server_x, height = 60 + gap * len(people), 40 + 26 * (len(evidence) + 1)
    x_of = {name: 60 + gap * number for number, name in enumerate(people)}
    parts = [
        f'<svg viewBox="0 0 {server_x + 520} {height}" role="img" aria-label="the exchange" font-size="12" '
        'font-family="monospace" fill="currentColor" stroke="none">'
    ]
    for name, x in [*x_of.items(), ("server", server_x)]:
        parts.append(
            f'<text x="{x}" y="18" text-anchor="middle">{html.escape(name)}</text>'
            f'<line x1="{x}" y1="26" x2="{x}" y2="{height}" stroke="currentColor" stroke-opacity=".3"/>'
        )
    for number, each in enumerate(evidence):
        y = top + step * (number + 1) - 8
        said = each.note if not each.data else shown_bytes(each.data, 44) + (f" ({each.note})" if each.note else "")
        if each.transport:
            x, to = x_of[each.who], server_x
            start, end = (x, to) if each.sign == "→" else (to, x)
            tip = -6 if end > start else 6
            dash = "" if each.transport == "TCP" else ' stroke-dasharray="5 3"'
            parts.append(
                f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="currentColor"{dash}/>'
                f'<path d="M{end} {y} l{tip} -4 v8 z"/>'
            )
        title = html.escape(f"{each.at_us / 1_000_000:.3f} s {each.transport} {each.data.hex()}")
        parts.append(f'<text x="{server_x + 10}" y="{y + 4}">{html.escape(said[:80])}<title>{title}</title></text>')
    return "".join([*parts, "</svg>"])


def badge(judgement: Judgement) -> str:
    """An SVG badge for a README."""
    broken, good = (len(judgement.with_outcome(each)) for each in (Outcome.BROKEN, Outcome.HOLDS))
    if broken:
        said, colour = f"{broken} of {broken + good} rules broken", "#b3261e"
    elif judgement.is_conclusive:
        said, colour = f"conforms ({good} rules)", "#17692c"
    else:
        said, colour = "could not be tested", "#5f6368"
    label, left, right = "TCRP", 46, 12 + 7 * len(said)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{label}: {said}">'
        f'<title>{label}: {said}</title><rect width="{left}" height="20" fill="#3c4043"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-size="11" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif">'
        f'<text x="{left // 2}" y="14">{label}</text>'
        f'<text x="{left + right // 2}" y="14">{said}</text></g></svg>\n'
    )
