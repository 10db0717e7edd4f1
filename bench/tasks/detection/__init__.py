"""Pictures with boxes.

- task: Detection, CocoFolder, VocFolder. sets: the declared ones. coco, voc: readers of annotations.
- box_pools, boxes, pixels, augment: pictures and boxes from the reader to the batch. composited: made pictures.
- detectors, pyramids: the head. box_ap: average precision. examples: test pictures that a record keeps.
"""
