"""Baselines without a network: majority (the most common class), tfidf (TF-IDF and logistic regression)."""
