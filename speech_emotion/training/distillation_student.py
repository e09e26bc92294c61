"""A stock wav2vec2 with weights computed from the first layers of a Whisper encoder; see `distill.py`."""

import math
import re
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2Model,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.models.loading import ModelError

TEACHER_RMS = 0.05  # level of the teacher's input; the student's has unit variance

# the student's front end
WINDOW = 400  # samples, Whisper's Fourier window: 25 ms
HOP = 160  # samples between mel frames: 10 ms
STRIDE = 4 * HOP  # samples between encoder frames: 40 ms, every second one of Whisper's, see `TeacherEncoder`
BINS = WINDOW // 2 - 1  # Fourier bins, without the constant and the highest
THRESHOLDS = 10 ** torch.arange(-1.75, 2.0, 0.5)  # amplitudes relative to a band's median: -35 to 35 dB
SPARE = 8  # channels of a conv layer that carry no feature, see neutralise_norm
KERNELS, STRIDES = (WINDOW, 1, 3, 3), (HOP, 1, 1, 4)  # of the four conv layers
# Whisper pads its convolutions, wav2vec2 does not. Without a clip's first LEAD samples, the student's frames
# coincide with these frames of the teacher, where the clip's length is a multiple of STRIDE.
LEAD = 120
CONV1_FRAMES, FRAMES = slice(3, -2), slice(1, None)  # of the stem's first convolution, of everything above

# the student's positions
POSITIONS = 128  # frames that get a position of their own: 5.1 s; later ones share the last
POSITION_OFFSET = 1.25  # lifts the table, -1..1, to where GELU is invertible; the projection takes it back
CHANNELS_PER_GROUP = 4  # of the positional convolution


class TeacherEncoder:
    """The first layers of a Whisper encoder, run on every second frame of clips that are not padded to 30 s.

    Neighbouring frames are alike, and with every second one the layers take half the time.
    The last layer keeps its attention; its feed-forward network writes nothing.

    Args:
        name: hub id or folder of a Whisper checkpoint; its encoder is enough.
        layers: number of layers to keep.
        device: where to run.

    Raises:
        ModelError: the checkpoint has no encoder, or one with fewer layers.
    """

    def __init__(self, name: str, layers: int, device: torch.device):
        transformers.logging.set_verbosity_error()  # what is missing is checked here
        model, info = WhisperForAudioClassification.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        lacks = any(key.startswith("encoder.") for key in info["missing_keys"])
        if lacks or model.config.encoder_layers < layers:
            raise ModelError(f"There is no Whisper encoder of {layers} layers in {name}.")
        self.config, self.encoder = model.config, model.encoder.eval().to(device)
        self.encoder.layers = self.encoder.layers[:layers]
        for parameter in self.encoder.layers[-1].fc2.parameters():  # a classifier replaces this network
            torch.nn.init.zeros_(parameter)
        self.extractor = WhisperFeatureExtractor.from_pretrained(name)

    def stem(self, waves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the outputs of both convolutions of the stem, before their GELU.

        Args:
            waves: shape [batch, samples], unit variance.

        Returns:
            Shapes [batch, samples / HOP, width] and [batch, samples / STRIDE, width].
        """
        clips = list(waves.cpu().numpy() * TEACHER_RMS)
        mel = self.extractor(clips, sampling_rate=SAMPLE_RATE, padding="longest", return_tensors="pt")
        first = self.encoder.conv1(mel.input_features.to(waves.device))
        return first.transpose(1, 2), self.encoder.conv2(F.gelu(first)).transpose(1, 2)[:, ::2]

    def states(self, waves: torch.Tensor) -> list[torch.Tensor]:
        """Compute the first layer's input, then each layer's output.

        Args:
            waves: shape [batch, samples], unit variance.

        Returns:
            1 + layers tensors of shape [batch, frames, width], for the frames that the student has.
        """
        hidden = F.gelu(self.stem(waves)[1])
        states = [hidden + self.encoder.embed_positions.weight[::2][: hidden.shape[1]]]
        for layer in self.encoder.layers:
            states.append(layer(states[-1], None))
        return [state[:, FRAMES] for state in states]

    def reorder(self, batches: list[torch.Tensor]) -> None:
        """Renumber the channels between the layers, which leaves the encoder's output as it is.

        The quarter of the channels that varies least after the stem become channels 0, 4, 8, ...: those that
        the student's positional convolution needs constant, one in each of its groups.

        Args:
            batches: waveforms of shape [batch, samples], unit variance.
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


def build_student(teacher: TeacherEncoder, batches: list[torch.Tensor]) -> Wav2Vec2Model:
    """Build a student and compute each of its weights.

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
    # the last LayerNorm scales every dimension to zero mean and unit variance for a classifier
    norm = student.encoder.layer_norm
    output = norm(torch.cat([teacher.states(waves)[-1].flatten(0, 1) for waves in batches[:8]]))
    norm.weight.copy_(1 / output.std(0).clamp_min(1e-2))
    norm.bias.copy_(-output.mean(0) * norm.weight)
    return student


def make_config(teacher: TeacherEncoder) -> Wav2Vec2Config:
    """Return the config of a stock wav2vec2 with the teacher's layers and room for its stem and positions."""
    width, bands = teacher.config.d_model, teacher.config.num_mel_bins
    return Wav2Vec2Config(
        hidden_size=width, intermediate_size=teacher.config.encoder_ffn_dim, do_stable_layer_norm=True,
        num_hidden_layers=len(teacher.encoder.layers),
        num_attention_heads=teacher.config.encoder_attention_heads,
        feat_extract_norm="layer", conv_bias=True, conv_kernel=KERNELS, conv_stride=STRIDES,
        conv_dim=(4 * BINS + 4, bands * len(THRESHOLDS) + SPARE, width + SPARE, width + SPARE),
        num_conv_pos_embeddings=2 * POSITIONS, num_conv_pos_embedding_groups=width // CHANNELS_PER_GROUP,
        # For fine-tuning. No dropout: before the positions it would change the channels that must stay
        # constant, and after them the few very large channels of Whisper's residual stream.
        feat_proj_dropout=0.0, hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
        layerdrop=0.0, mask_time_prob=0.05, mask_time_min_masks=0,
    )  # fmt: skip


def neutralise_norm(layer: torch.nn.Module, used: int, scale: float) -> None:
    """Set up a conv layer so that its LayerNorm leaves the first `used` channels as they are.

    Two of the spare channels are constants, so large that the norm's divisor is constant as well (`scale`,
    undone by the norm's weight). The rest share minus the sum of the used ones, so that the mean is zero.
    """
    conv, norm = layer.conv, layer.layer_norm
    constant, rest = scale * math.sqrt(len(conv.bias) / 2), used + 2
    conv.weight[used:rest], conv.bias[used], conv.bias[used + 1] = 0.0, constant, -constant
    conv.weight[rest:] = -conv.weight[:used].sum(0) / (len(conv.bias) - rest)
    conv.bias[rest:] = -conv.bias[:used].sum() / (len(conv.bias) - rest)
    norm.weight[:used], norm.weight[used:], norm.bias[:] = scale, 0.0, 0.0


def write_log_mel(student: Wav2Vec2Model, teacher: TeacherEncoder, waves: torch.Tensor) -> None:
    """Write conv layers 0 and 1: from the waveform to comparisons of each mel band with thresholds.

    The typical level of bins and bands is that of `waves`, shape [batch, samples].
    """
    layers = student.feature_extractor.conv_layers
    mel_filters = torch.tensor(teacher.extractor.mel_filters, dtype=torch.float32, device=waves.device)
    used = 4 * BINS  # one channel for each bin, cosine or sine, and sign
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


def fit_stem(student: Wav2Vec2Model, teacher: TeacherEncoder, batches: list[torch.Tensor]) -> None:
    """Fit conv layers 2 and 3 and the projection, each on the real output of the layer below."""
    layers, projection = student.feature_extractor.conv_layers, student.feature_projection
    width = student.config.hidden_size

    def patches(
        waves: torch.Tensor, depth: int
    ) -> torch.Tensor:  # the input of a layer's kernel at each step
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


def copy_layers(student: Wav2Vec2Model, teacher: TeacherEncoder) -> None:
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


def write_positions(student: Wav2Vec2Model, teacher: TeacherEncoder, stem_mean: torch.Tensor) -> None:
    """Write the teacher's positional table as a convolution over a constant.

    The first channel of each group becomes constant: its projection is zero except for the bias, which is the
    teacher's mean (`stem_mean`, shape [width]). At frame t the kernel covers that constant t + 1 times, so
    its running sum is the table.
    """
    width, mean = len(stem_mean), stem_mean - POSITION_OFFSET
    projection = student.feature_projection.projection
    projection.weight[::CHANNELS_PER_GROUP] = 0.0
    projection.bias[::CHANNELS_PER_GROUP] = mean[::CHANNELS_PER_GROUP]

    table = teacher.encoder.embed_positions.weight[::2][FRAMES][: POSITIONS + 1] + POSITION_OFFSET
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
    # weight norm divides by the direction's length, so taps that are zero need a direction as well
    conv.parametrizations.weight.original0.copy_(norm)
    conv.parametrizations.weight.original1.copy_(torch.where(norm > 0, kernel, torch.ones_like(kernel)))
    # a masked frame keeps the constants, so the positions of all others stay right
    student.masked_spec_embed.copy_(mean)


def explained_variance(
    student: Wav2Vec2Model, teacher: TeacherEncoder, waves: torch.Tensor
) -> dict[str, float]:
    """Measure the share of the teacher's variance that the student explains, after the stem and each layer.

    The mean over clips at each frame is subtracted first, because it depends on the position alone.

    Args:
        student: as built.
        teacher: with its channels reordered.
        waves: shape [batch, samples], unit variance.
    """
    states = list(student(waves[:, LEAD:], output_hidden_states=True).hidden_states)
    states[-1] = student.encoder.layers[-1](states[-2])  # as it is before the last LayerNorm
    shares = {}
    for depth, (mine, theirs) in enumerate(zip(states, teacher.states(waves), strict=True)):
        mine, theirs = mine - mine.mean(0), theirs - theirs.mean(0)
        share = 1 - (mine - theirs).square().sum() / theirs.square().sum()
        shares[f"layer_{depth}" if depth else "stem"] = round(share.item(), 4)
    return shares
