"""MLflow observes: experiment = study, parent run = a configuration on a task, children = its runs.

Whatever MLflow shows is made from records, and can be thrown away and made again (`sync`). Nothing here stops a study:
a server that cannot be reached costs some seconds and one line. MLflow is imported when it is first needed (a second).

- tracker: shows a study while it runs. synchronise: shows all that is recorded.
- experiment: writes one study's runs. client: opens MLflow. deadline: calls that may hang.
- entries, parents, columns, artefacts, names: what is shown of a run, a configuration, a study. Plain data, no MLflow.
- logged_models: exported models. server: MLflow's page. browser_defaults: what it shows at first sight.
"""

from bench.tracking.client import uri
from bench.tracking.experiment import Experiment
from bench.tracking.logged_models import log_model
from bench.tracking.synchronise import sync, ui
from bench.tracking.tracker import Tracker

__all__ = ["Experiment", "Tracker", "log_model", "sync", "ui", "uri"]
