"""A face that shows what a voice sounds like: an SVG made of one pose per emotion, which never jumps."""

import math
from dataclasses import astuple, dataclass, replace
from html import escape

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from speech_emotion.palette import emotion_colour

LITTLE = 0.2  # from this probability on, the second emotion is named as well
FRAME = "18 16 184 190"  # of the drawing, 220 by 220, what the widest pose needs
INK, WHITE, STEEL = "#292e3d", "#ffffff", "#808590"
BLUSH, TONGUE, THROAT, WATER, STEAM, DOZE = "#f0626e", "#f0828c", "#5a2030", "#4aa8f0", "#d55e00", "#4c8fc0"
NOT_SURE = "not sure"  # the pose of a model that cannot tell
SECOND_FROM, SECOND_WHOLE = (
    0.3,
    0.5,
)  # a second emotion shows from this share of the two on, and is equal at this
ACCESSORIES = ("tongue", "wrinkle", "tear", "sweat", "steam", "puff", "doze")  # they show from one half on
LIPS = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 25))  # where lips are drawn, -1..1, dense at the corners


@dataclass(frozen=True)
class Pose:
    """A face in numbers; unless said otherwise 0 is none and 1 is much.

    Attributes:
        red: of the emotion's colour, 0..1, as are the next two.
        green: see above.
        blue: see above.
        smile: how far the corners of the mouth go up; below 0 they go down.
        gape: how far the mouth is open.
        width: half the mouth's width, where half the face's is 80.
        skew: how much higher the mouth's right corner is, as seen.
        wave: how much the lips tremble.
        teeth: the part of the open mouth that they fill; from one half on they are clenched.
        tongue: how far it is put out.
        brow: how high the brows are; below 0 they are low.
        frown: how far the brows' inner ends go down; below 0 they go up.
        cock: how much higher the right brow is, as seen.
        eye: the eyes' size; 1 is at ease.
        lid: the part of the eye under the upper lid.
        squint: the part of the eye under the lower lid; with `lid` 1 or more is shut.
        bend: how far the lids' edges bow up; below 0 they bow down.
        pupil: the pupils' size; 1 is at ease.
        gaze_x: where they look, -1..1 from left to right, as seen.
        gaze_y: likewise from up to down.
        wrinkle: of the nose.
        blush: of the cheeks.
        tear: how large it is.
        sweat: likewise.
        steam: puffs on both sides of the head.
        puff: breath that leaves the mouth.
        doze: letters z over the head.
        tilt: of the head, in degrees clockwise.
    """

    red: float
    green: float
    blue: float
    smile: float = 0.05
    gape: float = 0.0
    width: float = 22.0
    skew: float = 0.0
    wave: float = 0.0
    teeth: float = 0.0
    tongue: float = 0.0
    brow: float = -0.1
    frown: float = 0.0
    cock: float = 0.0
    eye: float = 1.0
    lid: float = 0.15
    squint: float = 0.0
    bend: float = 0.0
    pupil: float = 1.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    wrinkle: float = 0.0
    blush: float = 0.0
    tear: float = 0.0
    sweat: float = 0.0
    steam: float = 0.0
    puff: float = 0.0
    doze: float = 0.0
    tilt: float = 0.0


def _pose(label: str, **numbers: float) -> Pose:
    """Return a pose in its emotion's colour."""
    return Pose(*to_rgb(emotion_colour(label)), **numbers)


POSES = {
    "angry": _pose("angry", smile=-0.6, gape=0.6, width=27, teeth=1.0, brow=-0.75, frown=1.0, lid=0.3,
                   squint=0.12, bend=0.0, pupil=0.85, steam=1.0),
    "calm": _pose("calm", smile=0.45, width=22, brow=0.2, lid=0.6, squint=0.4, bend=-0.75, blush=0.45),
    "disgust": _pose("disgust", smile=-0.6, gape=0.12, width=25, skew=-0.5, wave=0.45, tongue=1.0, brow=-0.4,
                     frown=0.45, cock=0.7, lid=0.42, squint=0.25, bend=0.0, gaze_x=-0.9, gaze_y=0.3,
                     wrinkle=1.0, tilt=5),
    "fearful": _pose("fearful", smile=-0.3, gape=0.55, width=30, wave=0.6, teeth=1.0, brow=0.6, frown=-0.95,
                     eye=1.25, lid=0.0, pupil=0.5, sweat=1.0),
    "happy": _pose("happy", smile=0.85, gape=0.75, width=32, teeth=0.28, brow=0.4, lid=0.0, squint=0.24,
                   bend=0.8, pupil=1.15, blush=0.9),
    "neutral": _pose("neutral"),
    "sad": _pose("sad", smile=-0.75, width=20, brow=0.15, frown=-0.8, lid=0.3, bend=-0.1, pupil=1.1,
                 gaze_y=0.6, tear=1.0, tilt=-6),
    "surprised": _pose("surprised", smile=0.0, gape=1.2, width=16, brow=1.0, eye=1.3, lid=0.0, pupil=0.75),
    "amused": _pose("amused", smile=0.95, gape=0.6, width=30, teeth=0.35, brow=0.5, lid=0.6, squint=0.4,
                    bend=1.1, blush=0.8, tear=0.45, tilt=8),
    "bored": _pose("bored", smile=-0.12, width=18, skew=0.25, brow=-0.1, lid=0.52, bend=0.1, gaze_x=0.9,
                   gaze_y=-0.1, tilt=-4),
    "breath": _pose("breath", smile=0.0, gape=0.35, width=8, brow=0.25, lid=0.6, squint=0.4, bend=-0.4,
                    blush=0.35, puff=1.0),
    "disappointed": _pose("disappointed", smile=-0.5, width=20, skew=0.2, brow=-0.1, frown=-0.5, lid=0.45,
                          bend=0.1, gaze_x=-0.5, gaze_y=0.8, tilt=4),
    "excited": _pose("excited", smile=0.75, gape=1.2, width=30, teeth=0.2, brow=0.95, eye=1.25, lid=0.0,
                     pupil=1.35, blush=0.8, tilt=-4),
    "pain": _pose("pain", smile=-0.3, gape=0.5, width=28, teeth=1.0, brow=-0.55, frown=0.35, lid=0.55,
                  squint=0.45, bend=0.25, wrinkle=0.7, tear=0.6, sweat=0.6, tilt=6),
    "pleasure": _pose("pleasure", smile=0.8, width=26, brow=0.4, lid=0.6, squint=0.4, bend=0.9, blush=1.0),
    "sleepy": _pose("sleepy", smile=0.0, gape=0.55, width=12, brow=0.3, frown=-0.3, lid=0.6, squint=0.4,
                    bend=-0.6, doze=1.0, tilt=9),
    NOT_SURE: Pose(*to_rgb("#a9a4b6"), smile=-0.05, width=15, skew=0.7, brow=0.25, cock=0.8, lid=0.15,
                   gaze_x=0.7, gaze_y=-0.7, tilt=5),
}  # fmt: skip


def blend(probabilities: dict[str, float]) -> Pose:
    """Return the weighted mean of the emotions' poses.

    Args:
        probabilities: weights by label; a label without a pose counts as neutral, and none at all as well.
    """
    shares = {label: share for label, share in probabilities.items() if share > 0} or {"neutral": 1.0}
    poses = [astuple(POSES.get(label, POSES["neutral"])) for label in shares]
    return Pose(*np.average(poses, axis=0, weights=list(shares.values())).tolist())


def express(probabilities: dict[str, float], doubt: float = 0.0) -> Pose:
    """Return the pose that shows these emotions: the most probable one, and others where they come near it.

    An emotion counts from 30 % of its sum with the most probable one, and as much as that one at 50 %, so a
    mean of eight emotions never turns a clear face into mud. Tears, steam and their like show where their
    emotion has more than half of the face.

    Args:
        probabilities: by label; they need not sum to 1.
        doubt: 0..1, how much of the face is the pose of not being sure.
    """
    shares = {label: share for label, share in probabilities.items() if share > 0} or {"neutral": 1.0}
    top = max(shares.values())
    counts = {
        label: min(max((share / (top + share) - SECOND_FROM) / (SECOND_WHOLE - SECOND_FROM), 0.0), 1.0)
        for label, share in shares.items()
    }
    whole = sum(counts.values())
    weights = {label: (1 - doubt) * count / whole for label, count in counts.items()} | {NOT_SURE: doubt}
    clear = {label: max(0.0, 2 * weight - 1) for label, weight in weights.items()}
    extras = {
        name: sum(share * getattr(POSES.get(label, POSES["neutral"]), name) for label, share in clear.items())
        for name in ACCESSORIES
    }
    return replace(blend(weights), **extras)


def draw_face(probabilities: dict[str, float], size: int = 220, doubt: float = 0.0, words: str = "") -> str:
    """Draw the face of these emotions as an SVG without ids, so that any number of them fits on a page.

    Args:
        probabilities: as in `express`.
        size: width and height in pixels.
        doubt: as in `express`.
        words: what the picture shows, for people who do not see it; in English where nothing is given.
    """
    pose = express(probabilities, doubt)
    words = escape(words or _alt_text(probabilities), quote=True)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='{FRAME}' width='{size}' height='{size}' "
        f"role='img' aria-label='{words}'>{_draw(pose)}</svg>"
    )


def draw_icons() -> str:
    """Draw every pose once, as symbols named `face-LABEL` that an icon on the page refers to."""
    symbols = "".join(
        f"<symbol id='face-{label.replace(' ', '-')}' viewBox='{FRAME}'>{_draw(pose)}</symbol>"
        for label, pose in POSES.items()
    )
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='0' height='0' style='position:absolute' "
        f"aria-hidden='true' focusable='false'>{symbols}</svg>"
    )


def _draw(pose: Pose) -> str:
    """Draw a pose in a square of 220 units."""
    colour = (pose.red, pose.green, pose.blue)
    skin, rim = _mix(colour, WHITE, 0.46), _mix(colour, STEEL, 0.3)
    parts = [
        _steam(pose),
        f"<circle r='80' fill='{skin}' stroke='{rim}' stroke-width='5'/>",
        # A shine and a curl, so that it is a head and not a disc.
        "<path d='M-62 -28Q-52 -54 -28 -63' stroke='#fff' stroke-width='7' opacity='.55'/>",
        f"<path d='M-3 -80C-8 -95 12 -102 13 -91C13 -84 4 -85 5 -91' stroke='{rim}' stroke-width='4.5'/>",
        *(f"<ellipse cx='{x}' cy='22' rx='13' ry='8.5' fill='{BLUSH}' opacity='{0.6 * pose.blush:.2f}'/>"
          for x in (-53, 53)),
        _eye(pose, -1, skin),
        _eye(pose, 1, skin),
        _nose(pose),
        _mouth(pose),
        _drops(pose),
        _breath(pose),
    ]  # fmt: skip
    return (
        f"<g transform='translate(110 118) rotate({pose.tilt:.1f})' fill='none' stroke-linecap='round' "
        f"stroke-linejoin='round'>{''.join(parts)}</g>"
    )


def _alt_text(probabilities: dict[str, float]) -> str:
    """Return which emotion a face shows, and which second one."""
    first, *rest = sorted(probabilities, key=probabilities.get, reverse=True) or ["neutral"]
    little = f", a little {rest[0]}" if rest and probabilities[rest[0]] >= LITTLE else ""
    return f"A face that looks {first}{little}"


def _mix(colour: tuple[float, ...], other: str, share: float) -> str:
    """Return the colour that lies a share of the way from one to the other, `#rrggbb`."""
    return to_hex((1 - share) * np.array(colour) + share * np.array(to_rgb(other)))


def _points(x: np.ndarray, y: np.ndarray) -> str:
    """Return a path through points, without the command it starts with."""
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _eye(pose: Pose, side: int, skin: str) -> str:
    """Draw an eye and its brow; side is -1 on the left, as seen, and 1 on the right."""
    x, y, rx, ry = 31 * side, -12, 12 + 5 * pose.eye, 20 * pose.eye
    shut = pose.lid + pose.squint
    whole, wide = max(1.0, shut), max(0.0, 1 - shut)
    slant = -0.42 * pose.frown * side
    pupil_x, pupil_y = x + 5 * pose.gaze_x, y + 2 + 5 * pose.gaze_y
    brow_y = -45 - 13 * pose.brow - (9 * pose.cock if side > 0 else 0)
    return (
        f"<ellipse cx='{x}' cy='{y}' rx='{rx:.1f}' ry='{ry:.1f}' fill='#fff' stroke='{INK}' "
        f"stroke-width='3'/>"
        f"<circle cx='{pupil_x:.1f}' cy='{pupil_y:.1f}' r='{9.5 * pose.pupil:.1f}' fill='{INK}'/>"
        f"<circle cx='{pupil_x + 3:.1f}' cy='{pupil_y - 4:.1f}' r='{3 * pose.pupil:.1f}' fill='#fff'/>"
        f"<g transform='translate({x} {y})'>"
        # The edges of an open eye follow its ball; those of a shut one meet.
        + _lid(1, pose.lid / whole, slant, pose.bend + 0.5 * wide, rx, ry, skin)
        + _lid(-1, pose.squint / whole, slant * (1 - wide), pose.bend - 0.4 * wide, rx, ry, skin)
        + f"</g><path d='M-15 2Q0 -6 15 2' stroke='{INK}' stroke-width='6' "
        f"transform='translate({x} {brow_y:.1f}) rotate({-24 * pose.frown * side:.1f})'/>"
    )


def _lid(up: int, share: float, slant: float, bend: float, rx: float, ry: float, skin: str) -> str:
    """Draw a lid as the part of the eye that it covers.

    Args:
        up: 1 for the upper lid, -1 for the lower.
        share: of the eye's height.
        slant: of its edge, in radians.
        bend: how far the edge bows up.
        rx: half the eye's width.
        ry: half the eye's height.
        skin: the lid's colour.
    """
    half = math.acos(1 - 2 * share)
    rx, ry = rx + 2.5, ry + 2.5  # over the eye's outline, too
    angles = (up * slant - half, up * slant + half)
    (ax, ay), (bx, by) = ((rx * math.sin(angle), -up * ry * math.cos(angle)) for angle in angles)
    width = abs(bx - ax) / (2 * rx)
    edge = f"Q{(ax + bx) / 2:.1f} {(ay + by) / 2 - bend * 18 * width:.1f} {ax:.1f} {ay:.1f}"
    return (
        f"<path d='M{ax:.1f} {ay:.1f}A{rx:.1f} {ry:.1f} 0 {int(half > math.pi / 2)} {int(up > 0)} "
        f"{bx:.1f} {by:.1f}{edge}Z' fill='{skin}' stroke='{skin}' stroke-width='1.5'/>"
        f"<path d='M{bx:.1f} {by:.1f}{edge}' stroke='{INK}' stroke-width='{4.5 * width:.1f}' "
        f"transform='scale(.93 1)'/>"
    )


def _nose(pose: Pose) -> str:
    """Draw the nose and its wrinkles."""
    return (
        f"<path d='M-4 15Q0 19 4 15' stroke='{INK}' stroke-width='3.5'/>"
        f"<path d='M-8 3Q0 -3 8 3M-9 -5Q0 -11 9 -5' stroke='{INK}' stroke-width='3' "
        f"opacity='{pose.wrinkle:.2f}'/>"
    )


def _mouth(pose: Pose) -> str:
    """Draw the mouth: the lips' line, opened by half ellipses above and below it."""
    x = pose.width * LIPS
    line = 40 - 20 * pose.smile * (LIPS**2 - 0.4) - 6 * pose.skew * LIPS
    line = line + 3.5 * pose.wave * np.sin(2.5 * np.pi * LIPS)
    gap = pose.gape * np.sqrt(1 - LIPS**2)
    upper, lower = line - 10 * gap, line + 20 * gap
    depth = pose.teeth * (lower - upper)
    bite = (upper + lower) / 2
    clench = max(0.0, 2 * pose.teeth - 1)
    ring = _points(np.r_[x, x[::-1]], np.r_[upper, lower[::-1]])
    tongue, teeth = slice(5, 20), slice(4, None, 4)
    rise = lower[tongue] - 0.45 * (lower - upper)[tongue] * (1 - (LIPS[tongue] / LIPS[20]) ** 2)
    return (
        f"<path d='M{ring}Z' fill='{THROAT}'/>"
        f"<path d='M{_points(np.r_[x[tongue], x[tongue][::-1]], np.r_[lower[tongue], rise[::-1]])}Z' "
        f"fill='{TONGUE}'/>"
        f"<path d='M{_points(np.r_[x, x[::-1]], np.r_[upper, (upper + depth)[::-1]])}Z' fill='#fff'/>"
        f"<path d='M{_points(x, bite)}"
        + "".join(
            f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x[teeth], upper[teeth], lower[teeth], strict=True)
        )
        + f"' stroke='{INK}' stroke-width='2' opacity='{clench:.2f}'/>"
        f"<path d='M{ring}Z' stroke='{INK}' stroke-width='4.5'/>"
        f"<path d='M-10 0V12A10 11 0 0 0 10 12V0M0 2V11' fill='{TONGUE}' stroke='{INK}' stroke-width='3.5' "
        f"transform='translate(3 {lower[13] + 1:.1f}) scale({pose.tongue:.2f})'/>"
    )


def _drops(pose: Pose) -> str:
    """Draw a tear under the right eye, as seen, and sweat at the temple above it."""
    drop = (
        f"<path d='M0 -13C5 -5 8 -1 8 5A8 8 0 0 1 -8 5C-8 -1 -5 -5 0 -13Z' fill='{WATER}' stroke='#fff' "
        f"stroke-width='1.5'"
    )
    return (
        f"{drop} transform='translate(46 24) scale({pose.tear:.2f})'/>"
        f"{drop} transform='translate(66 -34) scale({1.1 * pose.sweat:.2f})'/>"
    )


def _steam(pose: Pose) -> str:
    """Draw puffs of steam on both sides of the head."""
    puff = f"<path d='M0 0C-2 -8 8 -9 6 -17M10 4C8 -4 18 -5 16 -13' stroke='{STEAM}' stroke-width='4'"
    return "".join(
        f"{puff} transform='translate({62 * side} -72) scale({side * pose.steam:.2f} {pose.steam:.2f})'/>"
        for side in (-1, 1)
    )


def _breath(pose: Pose) -> str:
    """Draw what leaves the mouth, and the letters of sleep."""
    return (
        f"<path d='M16 40H34M15 48L30 56M15 32L30 24' stroke='{INK}' stroke-width='4' "
        f"opacity='{pose.puff:.2f}'/>"
        f"<path d='M56 -78H68L56 -64H68M76 -92H85L76 -82H85' stroke='{DOZE}' stroke-width='4.5' "
        f"opacity='{pose.doze:.2f}'/>"
    )
