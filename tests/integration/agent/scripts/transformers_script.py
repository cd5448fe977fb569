"""A user's script: Transformers' Trainer, which logs to MLflow by itself."""

import sys
import tempfile

import torch
from torch.utils.data import TensorDataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

config = BertConfig(
    vocab_size=16,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=1,
    intermediate_size=8,
    max_position_embeddings=8,
)
words = torch.randint(0, 16, (16, 4))
labels = words[:, 0] % 2


def collate(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.stack([row[0] for row in rows]),
        "labels": torch.stack([row[1] for row in rows]),
    }


with tempfile.TemporaryDirectory() as directory:
    trainer = Trainer(
        BertForSequenceClassification(config),
        TrainingArguments(
            output_dir=directory,
            num_train_epochs=1,
            per_device_train_batch_size=4,
            logging_steps=1,
            save_strategy="no",
            report_to=["none"] if "--quiet" in sys.argv else ["mlflow"],
            use_cpu=True,
        ),
        data_collator=collate,
        train_dataset=TensorDataset(words, labels),
    )
    trainer.train()
    if "--evaluate" in sys.argv:
        trainer.evaluate(TensorDataset(words, labels))
