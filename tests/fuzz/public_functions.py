"""Every public function of the engine, and where it meets inputs that nobody means well with.

A function is tried in one of these ways, or there is a reason why it is not:

- by name in one of the test files (`ELSEWHERE`), often through what a user does;
- with arguments that `test_fuzz_functions.py` draws for it (`BY_HAND` there);
- else with arguments that are drawn from the types of its parameters.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[2] / "adadfq_core"


@dataclass(frozen=True)
class PublicFunction:
    """A function of a module: its name after `adadfq_core.` and the types of its parameters."""

    name: str
    parameters: dict[str, str]
    docstring: str


def public_functions() -> dict[str, PublicFunction]:
    """All functions at the top of a module whose name has no underscore before it.

    The modules are parsed, not imported: some start threads or need packages that are not here.
    """
    found = {}
    for path in sorted(ENGINE.rglob("*.py")):
        module = ".".join(path.relative_to(ENGINE).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                arguments = node.args
                every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                types = {each.arg: ast.unparse(each.annotation or ast.Name("?")) for each in every}
                name = f"{module}.{node.name}"
                found[name] = PublicFunction(name, types, ast.get_docstring(node) or "")
    return found


def _names(text: str) -> frozenset[str]:
    """Names as written below: `module: function function`, a module a line."""
    found = set()
    for line in text.split("\n"):
        module, _, functions = line.strip().partition(":")
        found |= {f"{module}.{function}" for function in functions.split()}
    return frozenset(found)


ELSEWHERE = {
    "test_fuzz_commands": _names(
        """__main__: main
        shell.ablate: ablate
        shell.doctor: doctor
        shell.results: results
        results.cells: plan find_table
        shell.evaluate: evaluate
        shell.export: export
        shell.runs: list_runs show stop resume print_settings compare tag note delete clean
        shell.runs: export import_
        shell.sinks: write_tensorboard log_to_mlflow
        shell.sweeps: list_sweeps stop table delete
        shell.train: train
        shell.zoo: train list_networks show coverage fetch
        shell.configuring: bits_of seeds_of configured
        shell.network_options: assigned checked
        shell.telling: can_ask is_terminal check_can_ask megabytes print_table
        training.bundling: train_bundled
        sinks.opening: tensorboard_sink mlflow_tracking
        sinks.following: follow
        zoo.evaluation_data: load_evaluation_data
        """
    ),
    "test_fuzz_settings_files": _names(
        """settings_file: from_yaml read_settings to_yaml
        settings: make_settings
        ablation.designs: from_csv listed read_points
        export.description: from_yaml
        """
    ),
    "test_fuzz_links": _names("zoo.registry: find"),
    "test_fuzz_uploads": _names(
        """zoo.uploads: keep_upload
        zoo.data.decoding: decode
        zoo.data.scaling: fit
        zoo.data.opening: open_data
        zoo.data.idx: read_split open_folder
        zoo.weights: load_weights
        runs.archive: import_run
        runs.overview: facts
        runs.history: moments at
        inspection.samples: read_samples
        export.opening: open_exported
        export.torch_file: load_quantized
        """
    ),
}
"""Functions that a test file names or, for those of the shell, reaches by a command's name."""

EXCUSED = {
    "starts, steers or is a process; commands are tried up to where one would start": _names(
        """ablation.driver: drive
        ablation.executors.guarded_folder: guarded_folder main
        ablation.executors.ray_connection: import_ray connected
        ablation.probe: probe main
        ablation.worker: executor_of main
        embedding.child: start stop send close_pipes how_it_ended settle_in
        embedding.umap_map: warm_up
        embedding.worker: serve main
        export.jobs: start_preparing
        export.worker: main
        inspection.serving: serve end_state
        inspection.worker: main
        results.found: find
        results.measuring: claim follow
        runs.process: identity started_at alive spawn_worker spawn_detached reap end_reason
        runs.control: gone
        runs.queue_watch: watch
        runs.worker: main
        """
    ),
    "a part of a transaction of the store; its functions are tried through those that open one": (
        _names(
            """runs.archive_format: record_lines command_lines
            runs.record_content: check_arrays
            runs.database: transaction session explained connect
            runs.queue: claim_next wait_again cancel
            runs.row_checksums: register unseal seal
            runs.store: command_from_row insert_status fetch_info count_runs
            runs.leftovers: remove_leftovers mark unmark temporary_folder
            runs.resumption: last_whole_checkpoint go_back
            runs.retention: prune
            runs.history: extended
            runs.control: arrays
            files: replace_atomically sha256 read_start
            """
        )
    ),
    "works on a graph, a network or its file's parts, which the program has captured or checked": (
        _names(
            """export.counting: count
            export.formats: write
            export.frozen: freeze coded coder
            export.integer.arrangement: concatenation arrangement
            export.integer.building: uncovered windows_of
            export.integer.check: check_integers
            export.integer.codes: quantize dequantize clamp before_clamps
            export.integer.compiler: compile_graph image_format
            export.integer.formats: common_step
            export.integer.layers: convolution linear addition
            export.integer.model: read_graph
            export.integer.operations: convolve multiply pool_sum pool_max
            export.integer.pooling: max_pooling average_pooling average_over_places
            export.integer.arithmetic: rescaling rescale along_channels exact_float
            export.latency: measure_latency speed_up remark
            export.onnx_file: save_onnx to_onnx float_onnx
            export.onnx_reading: damaged description_of
            export.onnx_session: open_session told_by_onnxruntime predictor
            export.preparing: logits_of file_name prepare measured
            export.preparation: write_preparation
            export.program_file: save_program
            export.runtime_variant: for_runtimes
            export.torch_file: save_torch
            export.description: describe missing
            export.quiet: quiet
            quant.capture: capture
            quant.convert: quantize quantize_graph
            quant.layers: output_first apply_layer quantize_weight normalisation
            quant.leftovers: layer_name unquantizable computes_weights left_in_float
            quant.lifting: lift_functional_layers stored
            quant.operations: operation in_place merges rectifies multiplies self_gate
            quant.operations: is_batchnorm is_tensor
            quant.sites: activation_sites kind site_name
            zoo.weights: fill
            """
        )
    ),
    "plays or measures a network that the trainer holds; its settings are checked before": _names(
        """game.step: prepare_turn look_at imagine
        game.feature_distance: feature_distance
        game.terms: mean_of_terms
        game.generator: class_rows
        game.batchnorm_loss: statistics_mismatch
        training.evaluation: answers predictions top1 percent_right
        training.loop: train evaluate_if_due
        training.pretraining: random_crops cut_squares_out augmented_batches pretrain
        runs.loading: load_real_images make_trainer checkpoint_state
        runs.recorder: sheet_samples
        embedding.features: real_features
        inspection.clipping: activation_clipping
        inspection.layers: batchnorm_mismatch activation_ranges clipped
        inspection.open_runs: network_key pixels_key
        inspection.walk: latent_walk arc latent_points
        zoo.loading: unnamed_classes
        zoo.networks: resnet20
        """
    ),
    "shows what the program itself has recorded, in the forms that it has made": _names(
        """ablation.executors.base: evaluations_of
        ablation.estimate: run_seconds known_runs estimate
        ablation.halving: rungs
        ablation.names: axes_of value_text
        ablation.space: run_bytes sweep_bytes
        ablation.tables: pivot chosen_cells over_seeds runs_of ordered pivot_frame to_csv
        ablation.tables: results_csv to_markdown to_latex
        results.rows: make_rows joined
        results.lending: lent_rows
        results.rankings: rankings
        results.claims: about_losses about_h_prime about_histograms about_surface about_samples
        results.files: to_csv to_markdown
        inspection.class_grid: class_grid
        inspection.close_up: close_up
        inspection.contact_sheet: stretched contact_sheet
        inspection.fidelity: neighbourhoods frechet_distance expected_coverage
        inspection.sample_table: answer_name
        lessons.numbers: round_filter staircase
        sinks.summaries: scalar_summary
        sinks.tensorboard: binned
        training.checkpoints: save
        training.soundness: first_non_finite
        zoo.data.idx: split_source
        runs.store: new_run_id
        runs.records: decode
        embedding.cache: fit_cached read_array write_array
        embedding.projection: fit_projection
        embedding.umap_map: silent metric_rows usable_neighbors fit_layout
        inspection.sample_table: sheet_columns sample_table
        inspection.samples: read_sheet settings_at
        inspection.selection: select page_of
        inspection.table_files: as_csv as_parquet
        lessons.memory: patchwork blend recall batchnorm_count
        lessons.numbers: filter_weights fewer_bits_suffice
        lessons.recorded: recorded_run write_run run_file sheet_file read_runs
        lessons.subject: load_subject
        lessons.toy_game: plane unlearned_p
        runs.overview: state
        runs.records: settings_in_force
        runs.summary: summarize
        settings: limits
        sinks.mlflow: batches
        sinks.readings: scalars texts dated sheet_picture
        sinks.summaries: opening_summaries session_start_summary session_end_summary
        sinks.summaries: image_summary text_summary
        """
    ),
    "takes no input, or the program's own files alone": _names(
        """ablation.control: default_workers
        cores: cores
        export.description: versions
        home: runs_folder uploads_folder cache_folder
        own_version: own_version
        results.measuring: versions
        zoo.assets: record_checksums recorded_checksums verified faults
        zoo.class_names: imagenet
        zoo.downloads: models_folder
        zoo.efficientnet_lite: entry
        zoo.entry: silent fetched
        zoo.fashion_mnist: find_training_images
        zoo.pytorchcv_zoo: short_names entry
        zoo.registry: names
        zoo.torchvision_zoo: short_names entry
        """
    ),
    "a program of torch.export runs code, so that a stranger's is opened by nobody": _names(
        "export.program_file: load_program"
    ),
}
"""Functions that are not tried by themselves, by the reason."""
