"""The Hugging Face hub, from which timm and transformers fetch weights by their ordinary names."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from bench import assets


def go_offline_if_need_be() -> bool:
    """Without an answer from the hub its library retries for a minute; it then looks into its cache at once instead.

    LORA_BENCH_OFFLINE means the hub too.

    Returns:
        Whether only the cache is asked.
    """
    from huggingface_hub import constants

    proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"))
    if assets.offline():
        constants.HF_HUB_OFFLINE = True
    elif not constants.HF_HUB_OFFLINE and not proxied:
        address = urlsplit(constants.ENDPOINT)
        try:
            port = address.port or (443 if address.scheme == "https" else 80)
            socket.create_connection((address.hostname or "", port), timeout=5).close()
        except OSError:
            constants.HF_HUB_OFFLINE = True
    return bool(constants.HF_HUB_OFFLINE)
