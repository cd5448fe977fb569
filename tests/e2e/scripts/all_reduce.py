import mlflow
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
value = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(value)
if dist.get_rank() == 0:
    with mlflow.start_run():
        mlflow.log_metric("sum_of_ranks", value.item(), step=1)
        mlflow.log_metric("world_size", dist.get_world_size(), step=1)
dist.barrier()
dist.destroy_process_group()
