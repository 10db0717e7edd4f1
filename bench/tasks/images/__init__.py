"""Pictures with a class: `task` (Images, ImageFolder), `sets` (the declared ones), `decode` (pictures to arrays)."""
