"""What callbacks froze stays frozen in a run that goes on."""

from lightning.pytorch import LightningModule
from torch import nn

from lightning_template.engine.loops.trained import dump_trained, load_trained


class Module(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.BatchNorm1d(2), nn.BatchNorm1d(2)


def test_parts_are_frozen_and_track_statistics_as_they_were_saved() -> None:
    module, resumed = Module(), Module()
    for frozen, trained in ((module.one, module.other), (resumed.other, resumed.one)):
        frozen.requires_grad_(False)
        frozen.track_running_stats, trained.track_running_stats = False, True
    load_trained(resumed, dump_trained(module))
    assert [resumed.one.track_running_stats, resumed.other.track_running_stats] == [False, True]
    assert [resumed.one.weight.requires_grad, resumed.other.weight.requires_grad] == [False, True]
