"""Pictures with boxes.

- task: Detection. sets: the declared ones. own_folders: CocoFolder, VocFolder. coco, voc: readers of
  one's own annotations.
- coco_json: one file of COCO's. picture_paths: where pictures are. orientation: which way up boxes mean them.
  mark_notes: what is said of boxes.
- metrics: box AP. detectors, pyramids: the head; a new detector is a function in detectors.
- box_pools, boxes, pixels, augment: from what a reader found to the batch. composited: made pictures.
- examples: test pictures that a record keeps.
"""
