"""Accuracy scores of answers, trends and learning objectives. Schema `accuracy`."""
