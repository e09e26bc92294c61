"""Print the speed measurements as one table: `make bench` runs them and then this."""

import json

from record import RESULTS


def main() -> None:
    """Read the results, and print a line for each."""
    print(f"{'':58}{'median':>10}{'95 %':>10}{'real time':>11}{'memory':>10}{'ratio':>8}{'UAR':>8}")
    for name, median, p95, factor, memory, ratio, uar in [
        *answers(),
        *recordings(),
        *visitors(),
        *trainings(),
    ]:
        print(f"{name:58}{median:>10}{p95:>10}{factor:>11}{memory:>10}{ratio:>8}{uar:>8}")
    print(f"ratio: times as fast as {read('speed')['peer']}; of trainings, as transformers' recipe")
    print("real time: seconds of work for a second of sound; UAR: RAVDESS speech, speakers never heard")


def answers() -> list[tuple]:
    """Lines for a clip of three seconds."""
    return [
        (
            name,
            f"{own['median_ms']:.1f} ms",
            f"{own['p95_ms']:.1f} ms",
            own["real_time_factor"],
            f"{own['memory_mb']} MB",
            own["times_as_fast_as_peer"],
            own["uar"],
        )
        for name, own in read("speed")["clips"].items()
    ]


def recordings() -> list[tuple]:
    """Lines for long recordings and the live ear."""
    speed = read("speed")
    lines = [
        (
            f"timeline of {minutes} minutes",
            f"{own['seconds']} s",
            "",
            own["real_time_factor"],
            f"{own['memory_mb']} MB",
            "",
            "",
        )
        for minutes, own in speed["recordings"].items()
    ]
    minute, live = speed["minute_in_pipeline"], speed["live"]
    lines += [
        (
            f"a minute in {speed['peer']}",
            f"{minute['seconds']} s",
            "",
            round(minute["seconds"] / 60, 4),
            f"{minute['memory_mb']} MB",
            "",
            "",
        )
    ]
    return [
        *lines,
        ("live, half a second", f"{live['median_ms']} ms", f"{live['p95_ms']} ms", "", "", "", ""),
    ]


def visitors() -> list[tuple]:
    """Lines for the app under load."""
    figures = read("visitors")
    lines = [("the app until it answers", f"{figures['ready_after_seconds']} s", *[""] * 5)]
    for own in (figures["few"], figures["many"]):
        waits = f"{own['median_seconds']} s", f"{own['p95_seconds']} s"
        lines.append(
            (
                f"{own['visitors']} visitors at once, an answer",
                *waits,
                "",
                f"{figures['memory']['mb_after_each_wave'][-1]} MB",
                "",
                "",
            )
        )
    live = figures["live"]
    return [*lines, ("live through the app", f"{live['median_ms']} ms", f"{live['p95_ms']} ms", *[""] * 4)]


def trainings() -> list[tuple]:
    """Lines for training, in clips a second."""
    return [
        (f"training: {name}", f"{own['clips_per_second']} /s", *[""] * 3, own["times_as_fast_as_peer"], "")
        for name, own in read("training")["ways"].items()
    ]


def read(name: str) -> dict:
    """Read a results file."""
    return json.loads((RESULTS / f"{name}.json").read_text())


if __name__ == "__main__":
    main()
