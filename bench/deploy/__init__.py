"""What becomes of a trained run: its kept weights are loaded, used on new files, exported, judged and trained on.

- loading: a run and its weights become a network. samples: files and texts become its inputs.
- prediction: classes with probabilities, boxes; as a frame. pictures: boxes drawn, and as COCO's JSON.
- output: predictions as they are printed and written.
"""

from bench.deploy.loading import Trained, load_model
