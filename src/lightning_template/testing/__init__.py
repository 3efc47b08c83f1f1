"""Checks of anybody's task and data, as scikit-learn has them for estimators."""

from lightning_template.testing.running import CheckResult
from lightning_template.testing.suite import ChecksFailed, check_task, parametrize_checks

__all__ = ["CheckResult", "ChecksFailed", "check_task", "parametrize_checks"]
