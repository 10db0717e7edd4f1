"""Carries a study out.

- launch: from a name to records: plan, runs, page. preparation: what comes before the first run.
  forecasts: memory of a plan's cells, by a second process.
- runner: the runs of a study, in order. watcher: who is told of them.
- executor: what trains, one interface: in this process, in processes, or on Ray. parallelism: how many at once.
- ray_launch: from what is asked of Ray to an executor. ray_cluster: reached or started. ray_crew: its workers.
  ray_executor: what they do. ray_worker: one of them. shipping: what a machine needs before it trains.
- search: the trials of one search. samplers: their values and what is pruned, by Optuna, from completed batches alone;
  a new sampler goes here, its name into `bench.study.tune`. optuna_storage: kept up for
  Optuna's own tools.
- own_data: from data of one's own to a recommendation. pace: a smaller one
  where runs take too long. smaller_parts: would more labels help. sample_notes: what its
  page shows of single samples. tried: frames for notebooks.
- keeping: which trained weights are kept. keep_again: those that were not.
- baseline_runs: what a task gives without a network. cost_study: a study of costs.
- published_memory: the memory of published settings. activation_record: which operations hold activations.
- callbacks: what is told of each run: progress (the bar), MLflow, the figures. console: what is printed.
  status: what runs where, in a file.
- data_report: what was understood of the data, before anything takes time.
"""
