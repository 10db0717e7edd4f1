"""Pictures with a class.

- task: Images, ImageFolder. sets: the declared ones. class_folders: the reader of one's own.
- decode: pictures to arrays. colours: a baseline without a network.
- corruptions: pictures made worse, for studies of robustness.
"""
