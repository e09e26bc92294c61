"""Rewrite the first layers of a Whisper encoder as a small wav2vec2 model that hears the raw waveform.

    python distill.py --teacher openai/whisper-base.en --data data/emotion --output outputs/distilled

The result is a folder with a stock `Wav2Vec2Model`, which `train.py --model outputs/distilled` starts from.
It takes minutes, because nothing is learnt by gradient descent: every part of the teacher has a place in a
wav2vec2 model whose layers normalise first ("stable layer norm").

1. log-mel          conv layer 0 is a windowed Fourier transform (cosine and sine, each with both signs, so
                    that GELU rectifies them); conv layer 1 sums bins to mel bands and compares each band with
                    a ladder of thresholds, 10 dB apart: the logarithm is a weighted sum of its outputs.
2. Whisper's stem   conv layers 2 and 3 and the projection, by ridge regression on the teacher's activations.
3. layers           the same shapes, copied weight for weight; channels in another order, see 4.
4. positions        the positional convolution. A quarter of Whisper's channels hardly move after the stem:
                    the student holds them constant, one in each group of four, and a one-sided kernel whose
                    running sum is the teacher's table turns that constant into the position.

The regressions hear speakers of the training split (with `--without`, none of some corpora), and
`distillation.json` says how close the student comes on those of the validation split. Those of the test split
are never heard.
"""

import argparse
import json
import math
import re
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soxr
import torch
import torch.nn.functional as F
import transformers
from datasets import Dataset
from safetensors import SafetensorError
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from speech_emotion.atomic import atomic_directory, check_place, format_os_error
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import trim_silence
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.machine import describe_machine

REPORT = "distillation.json"  # beside the student

# what the regressions and the measurement hear
BATCH_SECONDS = 24  # speech in a batch
PIECES, PIECE_SECONDS = 64, 3  # of validation speech
TEACHER_RMS = 0.05  # level at which the teacher hears it; the student's input has unit variance

# the student's front end
WINDOW = 400  # samples, Whisper's Fourier window: 25 ms
HOP = 160  # samples between mel frames: 10 ms
STRIDE = 2 * HOP  # samples between encoder frames: 20 ms
BINS = WINDOW // 2 - 1  # Fourier bins, without the constant and the highest
THRESHOLDS = 10 ** torch.arange(-1.75, 2.0, 0.5)  # amplitudes relative to a band's median: -35 to 35 dB
SPARE = 8  # channels of a conv layer that carry no feature, see neutralise_norm
KERNELS, STRIDES = (WINDOW, 1, 3, 3), (HOP, 1, 1, 2)  # of the four conv layers
# Whisper pads its convolutions, wav2vec2 does not. Without a clip's first samples, the LEAD, the student's
# frames fall on some of the teacher's: on these, where the clip's length is a multiple of STRIDE.
LEAD = 120
CONV1_FRAMES, FRAMES = slice(3, -2), slice(2, -1)  # of the stem's first convolution, of everything above

# the student's positions
POSITIONS = 256  # frames that get a position of their own: 5.1 s; later ones share the last
POSITION_OFFSET = 1.25  # lifts the table, -1..1, to where GELU is invertible; the projection takes it back
CHANNELS_PER_GROUP = 4  # of the positional convolution


@torch.no_grad()
def main() -> None:
    """Build the student, measure it, save it."""
    args = parse_args()
    started = time.time()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        check_place(args.output, REPORT)
        dataset = open_dataset(args.data)
        teacher = Teacher(args.teacher, args.layers, device)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        raise SystemExit(f"{format_os_error(error, args.output)}.") from error
    heard = dataset["train"].filter(lambda corpus: corpus not in args.without, input_columns="corpus")
    speech, unheard = read_speech(heard), read_speech(dataset["validation"])
    batches = [draw_batch(speech, np.random.default_rng((args.seed, 1, n))) for n in range(args.batches)]
    batches = [waves.to(device) for waves in batches]
    pieces = cut_pieces(unheard, np.random.default_rng((args.seed, 0))).to(device)

    teacher.reorder(batches[:8])
    student = build_student(teacher, batches)
    report = {
        "teacher": args.teacher,
        "layers": args.layers,
        "variance_explained": explained_variance(student, teacher, pieces),
        "hours_heard": round(sum(waves.numel() for waves in batches) / SAMPLE_RATE / 3600, 2),
        "speakers": list(speech),
        "seconds": round(time.time() - started),
        "parameters": student.num_parameters(),
        "seed": args.seed,
        "measured_on": describe_machine(),
        "command": f"python {shlex.join(sys.argv)}",
    }
    try:
        save(student, report, args.output)
    except (OSError, SafetensorError) as error:
        raise SystemExit(
            f"{format_os_error(error, args.output)}. What was there before is as it was."
        ) from error
    print(f"Saved to {args.output}; variance explained: {report['variance_explained']}")


def parse_args() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--teacher", default="openai/whisper-base.en", help="Whisper's hub id or folder")
    parser.add_argument("--output", type=Path, default=Path("outputs/distilled"), help="the student's folder")
    parser.add_argument(
        "--without", nargs="*", default=[], metavar="CORPUS",
        help="corpora that are not heard, so that classifiers can be tested on any of their speakers",
    )  # fmt: skip
    parser.add_argument("--layers", type=int, default=3, help="of the teacher (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=40, help="to fit on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of their crops (default: %(default)s)")
    return parser.parse_args()


def read_speech(rows: Dataset) -> dict[str, list[np.ndarray]]:
    """Decode a split, silence trimmed.

    Returns:
        The clips of each speaker: shape [n], 16 kHz, int16 to take half the memory.
    """
    speech = {speaker: [] for speaker in sorted(set(rows["speaker"]))}
    for row in rows:
        speech[row["speaker"]].append((trim_silence(read_clip(row)) * 32767).astype(np.int16))
    return speech


def unit_variance(wave: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance, as Wav2Vec2FeatureExtractor does it."""
    wave = wave - wave.mean()
    return wave / np.sqrt(wave.var() + 1e-7)


def cut_pieces(speech: dict[str, list[np.ndarray]], rng: np.random.Generator) -> torch.Tensor:
    """Lay clips end to end in random order, each at the same level, and cut that into pieces.

    Returns:
        float32 of shape [pieces, samples], unit variance.
    """
    clips, size = [clip for own in speech.values() for clip in own], PIECE_SECONDS * SAMPLE_RATE
    wave = np.concatenate([unit_variance(clips[n].astype(np.float32)) for n in rng.permutation(len(clips))])
    pieces = wave[: wave.size // size * size].reshape(-1, size)[:PIECES]
    return torch.from_numpy(np.stack([unit_variance(piece) for piece in pieces]))


def draw_batch(speech: dict[str, list[np.ndarray]], rng: np.random.Generator) -> torch.Tensor:
    """Draw BATCH_SECONDS of speech or a little less, in crops that are all of one random length of 1 to 5 s.

    Returns:
        float32 of shape [crops, samples], unit variance.
    """
    seconds = rng.uniform(1.0, 5.0)
    size = int(seconds * SAMPLE_RATE) // STRIDE * STRIDE
    crops = [draw_crop(speech, rng, size) for _ in range(int(BATCH_SECONDS / seconds))]
    return torch.from_numpy(np.stack(crops))


def draw_crop(speech: dict[str, list[np.ndarray]], rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw `size` samples at unit variance, often in another crowd, room or microphone.

    The teacher hears the same crop, so its answer stays the right target however far this goes.
    """
    crop = draw_stretch(speech, rng, size)
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    frequencies[0] = frequencies[1]
    if rng.random() < 0.15:  # a second voice
        crop = crop + draw_stretch(speech, rng, size) * 10 ** (rng.uniform(-25, 0) / 20)
    if rng.random() < 0.7:  # an equaliser with octave bands
        bands = np.array([0, *(150 * 2.0 ** np.arange(7))])
        gain_db = np.interp(frequencies, bands, rng.normal(0, rng.uniform(0, 8), bands.size))
        crop = np.fft.irfft(np.fft.rfft(crop) * 10 ** (gain_db / 20), size)
    # noise from white to pink; never quite none, digital silence has no logarithm
    snr_db = rng.uniform(5, 50) if rng.random() < 0.7 else 80.0
    noise = np.fft.rfft(rng.standard_normal(size)) * frequencies ** -rng.uniform(0, 1)
    noise = unit_variance(np.fft.irfft(noise, size))
    return unit_variance(crop + noise * crop.std() * 10 ** (-snr_db / 20)).astype(np.float32)


def draw_stretch(speech: dict[str, list[np.ndarray]], rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw clips of any speakers, one after the other, and cut `size` samples out of them.

    Each clip is played faster or slower (pitch and formants move: a new voice), sometimes backwards, at its
    own level. Speakers of 100 clips and more are equally likely.
    """
    speakers, parts, length = list(speech), [], 0
    share = np.array([min(len(clips), 100) for clips in speech.values()], float)
    while length < size:
        clips = speech[rng.choice(speakers, p=share / share.sum())]
        clip = unit_variance(clips[rng.integers(len(clips))].astype(np.float32))
        rate = math.exp(rng.uniform(math.log(0.75), math.log(1.33)))
        clip = soxr.resample(clip, SAMPLE_RATE, SAMPLE_RATE * rate, quality="LQ")
        clip = clip[:: rng.choice([1, -1], p=[0.9, 0.1])] * 10 ** (rng.uniform(-8, 8) / 20)
        pause = np.zeros(rng.integers(SAMPLE_RATE // 4), np.float32)
        parts += [clip, pause]
        length += clip.size + pause.size
    start = rng.integers(length - size + 1)
    return np.concatenate(parts)[start : start + size]


class Teacher:
    """The first layers of a Whisper encoder, on clips: its positional table is sliced, not padded to 30 s.

    Args:
        name: hub id or folder of a Whisper checkpoint; its encoder is enough.
        layers: how many layers to keep.
        device: where to run.

    Raises:
        ValueError: there is no encoder in it, or one of fewer layers.
    """

    def __init__(self, name: str, layers: int, device: torch.device):
        transformers.logging.set_verbosity_error()  # what is missing is checked here
        model, info = WhisperForAudioClassification.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        lacks = any(key.startswith("encoder.") for key in info["missing_keys"])
        if lacks or model.config.encoder_layers < layers:
            raise ValueError(f"There is no Whisper encoder of {layers} layers in {name}.")
        self.config, self.encoder = model.config, model.encoder.eval().to(device)
        self.encoder.layers = self.encoder.layers[:layers]
        self.extractor = WhisperFeatureExtractor.from_pretrained(name)

    def stem(self, waves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute what both convolutions of the stem give, before their GELU.

        Args:
            waves: shape [batch, samples], unit variance.

        Returns:
            Shapes [batch, samples / HOP, width] and [batch, samples / STRIDE, width].
        """
        clips = list(waves.cpu().numpy() * TEACHER_RMS)
        mel = self.extractor(clips, sampling_rate=SAMPLE_RATE, padding="longest", return_tensors="pt")
        first = self.encoder.conv1(mel.input_features.to(waves.device))
        return first.transpose(1, 2), self.encoder.conv2(F.gelu(first)).transpose(1, 2)

    def states(self, waves: torch.Tensor) -> list[torch.Tensor]:
        """Compute the first layer's input, then each layer's output.

        Args:
            waves: shape [batch, samples], unit variance.

        Returns:
            1 + layers tensors of shape [batch, frames, width], of the frames that the student has.
        """
        hidden = F.gelu(self.stem(waves)[1])
        states = [hidden + self.encoder.embed_positions.weight[: hidden.shape[1]]]
        for layer in self.encoder.layers:
            states.append(layer(states[-1], None))
        return [state[:, FRAMES] for state in states]

    def reorder(self, batches: list[torch.Tensor]) -> None:
        """Renumber the channels between the layers; what the encoder computes stays the same.

        The quarter of them that vary least after the stem, for waveforms of shape [batch, samples], become
        channels 0, 4, 8, ...: the ones that the student's positional convolution needs constant, one in each
        of its groups.
        """
        stem = torch.cat([F.gelu(self.stem(waves)[1]).flatten(0, 1) for waves in batches])
        groups = stem.shape[1] // CHANNELS_PER_GROUP
        still, moving = stem.var(0).argsort().split([groups, stem.shape[1] - groups])
        order = [still.sort().values[:, None], moving.sort().values.view(groups, -1)]
        order = torch.cat(order, dim=1).flatten()
        for name, parameter in self.encoder.named_parameters():
            if re.search("conv2|layer_norm|out_proj|fc2", name):  # writes the channels
                parameter.copy_(parameter[order])
            elif re.search("embed_positions|(q_proj|k_proj|v_proj|fc1).weight", name):  # reads them
                parameter.copy_(parameter[:, order])


def build_student(teacher: Teacher, batches: list[torch.Tensor]) -> Wav2Vec2Model:
    """Write every weight of the student.

    Args:
        teacher: with its channels reordered.
        batches: waveforms of shape [batch, samples], unit variance.
    """
    device = batches[0].device
    student = Wav2Vec2Model(make_config(teacher)).to(device).eval()
    write_log_mel(student, teacher, batches[0][:, LEAD:])
    fit_stem(student, teacher, batches)
    copy_layers(student, teacher)
    stem = torch.cat([F.gelu(teacher.stem(waves)[1])[:, FRAMES].flatten(0, 1) for waves in batches[:8]])
    write_positions(student, teacher, stem.mean(0))
    # the last LayerNorm gives a classifier zero mean and unit variance in every dimension
    norm = student.encoder.layer_norm
    output = norm(torch.cat([teacher.states(waves)[-1].flatten(0, 1) for waves in batches[:8]]))
    norm.weight.copy_(1 / output.std(0).clamp_min(1e-2))
    norm.bias.copy_(-output.mean(0) * norm.weight)
    return student


def make_config(teacher: Teacher) -> Wav2Vec2Config:
    """Describe a stock wav2vec2 with the teacher's layers and room for its stem and positions."""
    width, bands = teacher.config.d_model, teacher.config.num_mel_bins
    return Wav2Vec2Config(
        hidden_size=width, intermediate_size=teacher.config.encoder_ffn_dim, do_stable_layer_norm=True,
        num_hidden_layers=len(teacher.encoder.layers),
        num_attention_heads=teacher.config.encoder_attention_heads,
        feat_extract_norm="layer", conv_bias=True, conv_kernel=KERNELS, conv_stride=STRIDES,
        conv_dim=(4 * BINS + 4, bands * len(THRESHOLDS) + SPARE, width + SPARE, width + SPARE),
        num_conv_pos_embeddings=2 * POSITIONS, num_conv_pos_embedding_groups=width // CHANNELS_PER_GROUP,
        # For fine-tuning. No dropout: before the positions it would break the channels that must stay
        # constant, and after them hit the few channels of Whisper's residual stream that are very large.
        feat_proj_dropout=0.0, hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
        layerdrop=0.0, mask_time_prob=0.05, mask_time_min_masks=0,
    )  # fmt: skip


def neutralise_norm(layer: torch.nn.Module, used: int, scale: float) -> None:
    """Make a conv layer's LayerNorm leave its first `used` channels as they are.

    Two of the spare channels are constants so large that the norm's divisor is one, too (`scale`, undone by
    the norm's weight); the rest are minus the sum of the used ones, in equal parts, so that the mean is zero.
    """
    conv, norm = layer.conv, layer.layer_norm
    constant, rest = scale * math.sqrt(len(conv.bias) / 2), used + 2
    conv.weight[used:rest], conv.bias[used], conv.bias[used + 1] = 0.0, constant, -constant
    conv.weight[rest:] = -conv.weight[:used].sum(0) / (len(conv.bias) - rest)
    conv.bias[rest:] = -conv.bias[:used].sum() / (len(conv.bias) - rest)
    norm.weight[:used], norm.weight[used:], norm.bias[:] = scale, 0.0, 0.0


def write_log_mel(student: Wav2Vec2Model, teacher: Teacher, waves: torch.Tensor) -> None:
    """Write conv layers 0 and 1: from the waveform to each mel band's place on a ladder of thresholds.

    The usual level of bins and bands is read from `waves`, shape [batch, samples].
    """
    layers = student.feature_extractor.conv_layers
    mel_filters = torch.tensor(teacher.extractor.mel_filters, dtype=torch.float32, device=waves.device)
    used = 4 * BINS  # a channel for each bin, cosine or sine, sign
    time_step = torch.arange(WINDOW) - WINDOW // 2
    phase = 2 * math.pi / WINDOW * torch.arange(1, BINS + 1)[:, None] * time_step
    waveforms = torch.stack([phase.cos(), -phase.cos(), phase.sin(), -phase.sin()], dim=1)
    window = torch.hann_window(WINDOW)
    filters = (waveforms * window / window.square().sum().div(2).sqrt()).flatten(0, 1).to(waves.device)
    layers[0].conv.weight[:used, 0], layers[0].conv.bias[:used] = filters, 0.0
    neutralise_norm(layers[0], used, scale=30.0)
    # loud enough for GELU to be a rectifier over 20 dB below a bin's median
    level = F.conv1d(waves[:, None], filters[:, None], stride=HOP).abs().transpose(0, 1).flatten(1)
    gain = 10.0 / level.median(dim=1).values.view(BINS, 4).mean(1)
    layers[0].layer_norm.weight[:used] *= gain.repeat_interleave(4)

    mel = (mel_filters[1 : BINS + 1].sqrt() / gain[:, None]).repeat_interleave(4, dim=0).T  # [bands, used]
    amplitude = torch.einsum("mc,bct->mbt", mel, layers[0](waves[:, None])[:, :used]).flatten(1)
    mel = mel / amplitude.median(dim=1).values[:, None]
    ladder = THRESHOLDS.to(waves.device).repeat(len(mel))
    layers[1].conv.weight[: len(ladder), :used, 0] = -mel.repeat_interleave(len(THRESHOLDS), dim=0)
    layers[1].conv.weight[: len(ladder), used:] = 0.0
    layers[1].conv.bias[: len(ladder)] = ladder
    neutralise_norm(layers[1], len(ladder), scale=300.0)
    layers[1].layer_norm.weight[: len(ladder)] *= 3.0 / ladder  # GELU(3 - 3 amplitude / threshold)


def ridge(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit a linear regression with an intercept.

    Args:
        pairs: inputs of shape [batch, frames, in] and targets of shape [batch, frames, out].

    Returns:
        Weights of shape [out, in] and intercepts of shape [out].
    """
    gram = cross = 0.0
    for inputs, targets in pairs:
        inputs = F.pad(inputs.flatten(0, 1), (0, 1), value=1.0)
        gram = gram + (inputs.T @ inputs).double()
        cross = cross + (inputs.T @ targets.flatten(0, 1)).double()
    power = gram.diagonal()
    penalty = 1e-4 * power.clamp_min(1e-3 * power.mean())
    penalty[-1] = 1e-6 * power[-1]
    solution = torch.linalg.solve(gram + penalty.diag(), cross).float()
    return solution[:-1].T, solution[-1]


def fit_stem(student: Wav2Vec2Model, teacher: Teacher, batches: list[torch.Tensor]) -> None:
    """Fit conv layers 2 and 3 and the projection, each on what the layer below really gives."""
    layers, projection = student.feature_extractor.conv_layers, student.feature_projection
    width = student.config.hidden_size

    def patches(waves: torch.Tensor, depth: int) -> torch.Tensor:  # what a layer's kernel sees at each step
        hidden = waves[:, None, LEAD:]
        for layer in layers[:depth]:
            hidden = layer(hidden)
        return hidden[:, :-SPARE].unfold(2, KERNELS[depth], STRIDES[depth]).transpose(1, 2).flatten(2)

    for depth, stage, frames in ((2, 0, CONV1_FRAMES), (3, 1, FRAMES)):
        conv = layers[depth].conv
        pairs = ((patches(waves, depth), teacher.stem(waves)[stage][:, frames]) for waves in batches)
        weight, bias = ridge(pairs)
        conv.weight.zero_()
        conv.weight[:width, :-SPARE] = weight.view(width, -1, KERNELS[depth])
        conv.bias[:width] = bias
        neutralise_norm(layers[depth], width, scale=50.0)
    layers[3].layer_norm.bias[width] = 8.0  # a constant that steadies the projection's own LayerNorm

    def features(waves: torch.Tensor) -> torch.Tensor:
        return projection.layer_norm(student.feature_extractor(waves[:, LEAD:]).transpose(1, 2))

    weight, bias = ridge((features(waves), F.gelu(teacher.stem(waves)[1][:, FRAMES])) for waves in batches)
    projection.projection.weight.copy_(weight)
    projection.projection.bias.copy_(bias - POSITION_OFFSET)


def copy_layers(student: Wav2Vec2Model, teacher: Teacher) -> None:
    """Copy the teacher's layers weight for weight."""
    renamed = {
        "self_attn_layer_norm": "layer_norm",
        "self_attn": "attention",
        "fc1": "feed_forward.intermediate_dense",
        "fc2": "feed_forward.output_dense",
    }
    for mine, theirs in zip(student.encoder.layers, teacher.encoder.layers, strict=True):
        weights = theirs.state_dict()
        weights["self_attn.k_proj.bias"] = torch.zeros(student.config.hidden_size)  # Whisper has none
        for old, new in renamed.items():
            weights = {re.sub(f"^{old}\\b", new, name): weight for name, weight in weights.items()}
        mine.load_state_dict(weights)


def write_positions(student: Wav2Vec2Model, teacher: Teacher, stem_mean: torch.Tensor) -> None:
    """Write the teacher's positional table as a convolution of a constant.

    The first channel of each group becomes constant: its projection is zero but for the bias, the teacher's
    mean (`stem_mean`, shape [width]). Frame t sees that constant t + 1 times, from the clip's start, so the
    kernel's running sum is the table.
    """
    width, mean = len(stem_mean), stem_mean - POSITION_OFFSET
    projection = student.feature_projection.projection
    projection.weight[::CHANNELS_PER_GROUP] = 0.0
    projection.bias[::CHANNELS_PER_GROUP] = mean[::CHANNELS_PER_GROUP]

    table = teacher.encoder.embed_positions.weight[FRAMES.start :][: POSITIONS + 1] + POSITION_OFFSET
    grid = torch.arange(-0.5, 3.0, 1e-4, dtype=torch.double)
    before = torch.from_numpy(np.interp(table.double().cpu(), F.gelu(grid), grid))  # its GELU is the table
    taps = torch.diff(before, dim=0, prepend=torch.zeros(1, width, dtype=torch.double))
    taps = taps.flip(0).float().to(mean.device)  # the oldest frame comes first
    taps = taps / mean[::CHANNELS_PER_GROUP].repeat_interleave(CHANNELS_PER_GROUP)
    conv = student.encoder.pos_conv_embed.conv
    kernel = torch.zeros_like(conv.weight)
    kernel[:, 0, : POSITIONS + 1] = taps.T
    norm = kernel.norm(dim=(0, 1), keepdim=True)
    conv.bias.zero_()
    # weight norm divides by the direction's length: taps that are zero need a direction all the same
    conv.parametrizations.weight.original0.copy_(norm)
    conv.parametrizations.weight.original1.copy_(torch.where(norm > 0, kernel, torch.ones_like(kernel)))
    # a masked frame keeps the constants, so the positions of all others stay right
    student.masked_spec_embed.copy_(mean)


def explained_variance(student: Wav2Vec2Model, teacher: Teacher, waves: torch.Tensor) -> dict[str, float]:
    """Measure which share of the teacher's variance the student explains: after the stem, after each layer.

    What depends on the position alone is taken out first, the mean over clips at each frame. `waves`: shape
    [batch, samples], unit variance.
    """
    states = list(student(waves[:, LEAD:], output_hidden_states=True).hidden_states)
    states[-1] = student.encoder.layers[-1](states[-2])  # as it is before the last LayerNorm
    shares = {}
    for depth, (mine, theirs) in enumerate(zip(states, teacher.states(waves), strict=True)):
        mine, theirs = mine - mine.mean(0), theirs - theirs.mean(0)
        share = 1 - (mine - theirs).square().sum() / theirs.square().sum()
        shares[f"layer_{depth}" if depth else "stem"] = round(share.item(), 4)
    return shares


def save(student: Wav2Vec2Model, report: dict, output: Path) -> None:
    """Write a folder that `from_pretrained` opens, and `distillation.json`; it takes its place when whole."""
    with atomic_directory(output, REPORT) as folder:
        student.save_pretrained(folder)
        Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
        (folder / REPORT).write_text(json.dumps(report, indent=1) + "\n")
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors lets nobody else read


if __name__ == "__main__":
    main()
