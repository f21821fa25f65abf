"""Classifiers: accuracy, the confusion matrix, scores and tables."""
