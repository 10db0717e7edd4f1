"""What becomes of a trained run: its kept weights are loaded, used on new files, exported, judged and trained on.

- loading: a run and its weights become a network. samples: files and texts become its inputs.
- prediction: classes with probabilities, boxes; as a frame. pictures: boxes drawn, and as COCO's JSON.
- output: predictions as they are printed and written.
- export: a run in another tool's format, checked. adapter, peft_forms: PEFT's. merged, text_class: timm's,
  transformers', torchvision's. onnx_graph, onnx_boxes: ONNX. served: an MLflow model. card: the model card, with
  preparation.
- evaluation: on new labelled data, with sample_intervals and calibration. retuning: training that goes on.
  same_classes: new data with a run's classes.
"""

from bench.deploy.loading import Trained, load_model
