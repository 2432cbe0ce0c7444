"""What a training run carries from step to step, built fresh or restored from a checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

import craft
from craft.config import Config, dump_config
from craft.distributed.processes import Processes
from craft.models.craft import CRAFT, DEFAULT_BACKBONE
from craft.models.freezing import batch_norm_layers, freeze_batch_norm, freeze_parameters, is_folded, unchanged
from craft.models.region_head import add_region_path
from craft.models.weights import Weights, backbone_of, load_into, read_weights, save_safetensors, width_of
from craft.region.training import architecture_of
from craft.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from craft.training.schedule import WarmedAverage, build_average, build_optimizer


@dataclass(slots=True)
class RunState:
    """The moving parts of a run."""

    model: CRAFT  # the network; its parameters are what the optimizer changes
    network: nn.Module  # what the loop calls: the model, wrapped where there are several processes
    optimizer: torch.optim.AdamW  # AdamW
    average: AveragedModel | None  # the moving average, None where it is off
    average_rule: WarmedAverage | None  # counts the average's updates
    step: int  # optimizer steps done
    best_hmean: float  # best H-mean validated so far; -1 before the first validation
    stale: int = 0  # validations since the best

    @property
    def validated_model(self) -> nn.Module:
        """The model that is validated and shipped: the moving average, or the network itself where that is off."""
        return self.model if self.average is None else self.average.module

    def update(self, rate: float) -> None:
        """Let the optimizer take its step at this learning rate, clear the gradients, and update the average."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None and self.average_rule is not None:
            self.average.update_parameters(self.model)
            self.average_rule.updates = self.step


def build_state(config: Config, processes: Processes, *, echo: Callable[[str], None]) -> RunState:
    """Build network, optimizer and average at step 0, the same in every process.

    Raises ValueError if weights cannot be read or do not fit at all, or `freeze` names nothing.
    """
    torch.manual_seed(config.training.seed)
    model = CRAFT(
        config.model.width, backbone=config.model.backbone, gradient_checkpointing=config.model.gradient_checkpointing
    )
    if config.region.enabled:
        add_region_path(model, architecture_of(config.region), seed=config.training.seed)
    if config.model.pretrained == "imagenet":
        model.basenet.load_imagenet()
        echo("backbone: ImageNet weights loaded")
    if config.weights is not None:
        _load_weights(model, config.weights, echo)
    if config.model.sync_batch_norm:
        _synchronise_batch_norm(model, processes)
    model.to(processes.device).to(memory_format=torch.channels_last)
    model.train()
    if config.freeze:
        freeze_parameters(model, config.freeze)
    if config.region.enabled and config.region.train == "alone":
        freeze_parameters(model, [f"{name}." for name, _part in model.named_children() if name != "region"])
    folded = config.weights is not None and is_folded(model)
    if folded and not config.model.freeze_batch_norm:
        echo(f"{config.weights}: trained with frozen batch norm, which stays frozen")
    if folded or config.model.freeze_batch_norm:
        freeze_batch_norm(model)
    average, rule = None, None
    if config.optimizer.average_decay > 0:
        average, rule = build_average(model, decay=config.optimizer.average_decay)
    if config.training.compile:
        model.compile_parts()
    optimizer = build_optimizer(model, config.optimizer)
    return RunState(model, _wrap(model, processes), optimizer, average, rule, step=0, best_hmean=-1.0)


def restore_state(state: RunState, path: Path, processes: Processes) -> None:
    """Restore a freshly built state, made from the same settings, from a checkpoint file.

    Raises ValueError if the checkpoint cannot be read or belongs to another network.
    """
    checkpoint = read_checkpoint(path, device=processes.device)
    state.model.load_state_dict(checkpoint.model, strict=True)
    _freeze_again(state.model)
    state.optimizer.load_state_dict(checkpoint.optimizer)
    if state.average is not None and state.average_rule is not None:
        state.average.module.load_state_dict(checkpoint.average, strict=True)
        _freeze_again(state.average.module)
        state.average.n_averaged.fill_(checkpoint.step)
        state.average_rule.updates = checkpoint.step
    torch.set_rng_state(checkpoint.random_state)
    state.step = checkpoint.step
    state.best_hmean = checkpoint.best_hmean


def _freeze_again(model: nn.Module) -> None:
    """Fold frozen batch norm layers of a checkpoint from before they were folded."""
    if any(norm.forward is unchanged for norm in batch_norm_layers(model)):
        freeze_batch_norm(model)


def save_state(state: RunState, path: Path, config: Config) -> None:
    """Write the state as a checkpoint."""
    average = {} if state.average is None else state.average.module.state_dict()
    checkpoint = Checkpoint(
        model=state.model.state_dict(),
        average=average,
        optimizer=state.optimizer.state_dict(),
        random_state=torch.get_rng_state(),
        step=state.step,
        best_hmean=state.best_hmean,
        config=dump_config(config),
        version=craft.__version__,
    )
    write_checkpoint(path, checkpoint)


def save_weights(state: RunState, path: Path, config: Config) -> None:
    """Write the validated model's weights with the detection settings."""
    detection = config.detection.model_dump(mode="json")
    save_safetensors(
        state.validated_model, path, {"step": state.step, **network_metadata(config), "detection": detection}
    )


def save_snapshot(state: RunState, folder: Path, config: Config) -> None:
    """Keep the weights that are being trained, not their average, as snapshots/step_N.safetensors of the run folder."""
    path = folder / "snapshots" / f"step_{state.step}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_safetensors(state.model, path, {"step": state.step, **network_metadata(config)})


def network_metadata(config: Config) -> dict[str, Any]:
    """What building the network of a run again needs beside the weights' shapes; it travels with the weights."""
    metadata: dict[str, Any] = {"width": config.model.width}
    if config.model.backbone != DEFAULT_BACKBONE:
        metadata["backbone"] = config.model.backbone
    if config.region.enabled:
        metadata["region"] = architecture_of(config.region).as_dict()
    return metadata


def _load_weights(model: CRAFT, path: str, echo: Callable[[str], None]) -> None:
    """Load what fits from a file of weights and say what does not."""
    weights = read_weights(path)
    if backbone_of(weights) != model.backbone:
        raise ValueError(
            f"{path}: weights of backbone {backbone_of(weights)}; set model.backbone to that, not {model.backbone}"
        )
    width = width_of(weights)
    if width is not None and width != width_of(Weights(model.state_dict(), weights.metadata)):
        raise ValueError(f"{path}: weights of width {width:g}; set model.width to that, not {model.width:g}")
    report = load_into(model, weights, strict=False)
    if not report.loaded:
        raise ValueError(f"{path}: no tensor in it fits this network; check model.width")
    echo(f"{path}: {len(report.loaded)} tensors loaded")
    for reason, names in (("missing from the file", report.missing), ("of different shape", report.mismatched)):
        if names:
            echo(f"  not loaded, {reason}: {', '.join(names)}")


def _synchronise_batch_norm(model: CRAFT, processes: Processes) -> None:
    """Let batch norm layers count the crops of all processes; names and values stay."""
    if processes.device.type != "cuda":
        raise ValueError(
            f"model.sync_batch_norm works on CUDA only, and this run is on {processes.device}; set it to false, or "
            "freeze batch norm with model.freeze_batch_norm: true"
        )
    nn.SyncBatchNorm.convert_sync_batchnorm(model)


def _wrap(model: CRAFT, processes: Processes) -> nn.Module:
    if processes.world_size == 1:
        return model
    devices = [processes.device.index] if processes.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)
