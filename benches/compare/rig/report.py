"""The rounds as a table for people and as JSON for programs."""

import dataclasses
import statistics

REFERENCES = ("bare", "haproxy", "nginx-auth-jwt", "envoy", "envoy-edge")
WHAT = {
    "gateway": "auth-gateway: JWT, two limits, OpenFGA decision, log",
    "bare": "Pingora, nothing but proxying",
    "bare-tells": "Pingora, constant headers to both sides and a log line",
    "nginx": "nginx, nothing but proxying",
    "nginx-auth-jwt": "nginx, JWT in its auth_jwt module",
    "nginx-auth-request": "nginx, JWT asked of a service (auth_request)",
    "haproxy": "HAProxy, JWT (jwt_verify)",
    "envoy": "Envoy, JWT with its cache (jwt_authn)",
    "envoy-edge": "Envoy, the same with a limit, CORS and an access log",
    "traefik": "Traefik, JWT asked of a service (ForwardAuth)",
}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarise(rounds, memory):
    """Per proxy and quantity the median, least and greatest of the rounds."""
    result = {}
    for name, measured in rounds.items():
        columns = {field.name: spread([getattr(one, field.name) for one in measured])
                   for field in dataclasses.fields(measured[0])}
        result[name] = {**columns, "memory_kb": memory[name], "rounds": len(measured)}
    for name, columns in result.items():
        others = [other for other in REFERENCES if other in result]
        # Within a round, when the machine was as fast for the one as for the other.
        columns["cpu_ratio"] = {
            other: statistics.median(
                one.cpu_micros / reference.cpu_micros for one, reference in zip(rounds[name], rounds[other]))
            for other in others}
        # Neighbours only ever add time: the least of the rounds is the nearest to what a proxy needs.
        for quantity in ("cpu", "p99"):
            columns[f"best_{quantity}_ratio"] = {
                other: columns[f"{quantity}_micros"]["min"] / result[other][f"{quantity}_micros"]["min"]
                for other in others}
    return result


def table(result):
    head = ["proxy", "requests/s", "CPU µs/request", "beside", "busy", "p50 ms", "p99 ms", "MB"]
    references = [name for name in REFERENCES if name in result]
    ordered = sorted(result, key=lambda name: result[name]["cpu_micros"]["min"])
    rows = [head]
    for name in ordered:
        row = result[name]
        beside = row["beside_cpu_micros"]["min"]
        rows.append([
            name,
            _ranged(row["requests_per_second"], 1, 0, best="max"),
            _ranged(row["cpu_micros"], 1, 1),
            f"+{beside:.1f}" if beside else "",
            f"{row['busy']['median'] * 100:.0f} %",
            _ranged(row["p50_micros"], 1e3, 2),
            _ranged(row["p99_micros"], 1e3, 2),
            f"{row['memory_kb'] / 1024:.0f}",
        ])
    ratios = [["ratios", *(f"x {name}" for name in references), *(f"p99 x {name}" for name in references)]]
    for name in ordered:
        row = result[name]
        ratios.append([
            name,
            *(f"{row['best_cpu_ratio'][other]:.2f} ({row['cpu_ratio'][other]:.2f})" for other in references),
            *(f"{row['best_p99_ratio'][other]:.2f}" for other in references),
        ])
    notes = [f"{name}: {WHAT.get(name, '')}" for name in ordered]
    return "\n".join([*_aligned(rows), "", *_aligned(ratios), "", *notes, "", LEGEND])


def _aligned(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
             for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines


def _ranged(values, unit, digits, best="min"):
    best, median = (f"{values[key] / unit:.{digits}f}" for key in (best, "median"))
    return f"{best} ({median})"


LEGEND = """\
The best of the rounds (their median). CPU ratios: of the best rounds (median of the ratios within each
round); p99: of the best rounds. CPU: user and system time of all threads of the proxy, kernel work on its
connections included, for each request that wrk counted; beside: what the service it asks adds on the other
core. busy: the part of its core that the proxy used; below 95 % the other core, where wrk and the upstream
run, set the pace and requests/s and latencies tell little. MB: resident after the run."""
