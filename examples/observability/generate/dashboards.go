package main

// instances lets a dashboard show some runners only.
func instances() []any {
	return []any{map[string]any{
		"name": "instance", "label": "Runner", "type": "query", "multi": true, "includeAll": true, "allValue": ".*",
		"datasource": map[string]any{"type": "prometheus", "uid": "prometheus"},
		"query":      "label_values(act_runner_info, instance)", "refresh": 2,
		"current": map[string]any{"text": "All", "value": "$__all"},
	}}
}

func text(name, label string) map[string]any {
	return map[string]any{"name": name, "label": label, "type": "textbox", "query": "", "current": map[string]any{"text": "", "value": ""}}
}

// only narrows a family to the chosen runners.
func only(family, more string) string {
	if more != "" {
		more = "," + more
	}
	return family + `{instance=~"$instance"` + more + `}`
}

func p90(family, by string) string {
	if by != "" {
		by = ", " + by
	}
	return "histogram_quantile(0.9, sum by (le" + by + ") (rate(" + only(family+"_bucket", "") + "[$__rate_interval])))"
}

func p50(family string) string {
	return "histogram_quantile(0.5, sum by (le) (rate(" + only(family+"_bucket", "") + "[$__rate_interval])))"
}

func dashboards() map[string]dashboard {
	return map[string]dashboard{
		"fleet": {
			title: "Fleet", description: "Are there enough runners, and do jobs get through?", vars: instances(),
			rows: [][]panel{
				{
					{title: "Runners", kind: "stat", queries: []query{{"count(" + only("act_runner_info", "") + ")", "runners"}}},
					{title: "Jobs that run now", kind: "stat", queries: []query{{"sum(" + only("act_runner_job_running", "") + ")", "running"}, {"sum(" + only("act_runner_capacity", "") + ")", "capacity"}}},
					{title: "Jobs that succeed, of the last hour", kind: "stat", unit: "percentunit", queries: []query{{`avg(runner:job_success:ratio_1h{instance=~"$instance"})`, ""}}},
					{title: "Nine in ten jobs wait less than", kind: "stat", unit: "s", queries: []query{{`max(runner:job_queue_seconds:p90_15m{instance=~"$instance"})`, ""}}},
				},
				{
					{title: "How busy is each runner?", kind: "timeseries", unit: "percentunit", queries: []query{{only("act_runner_job_capacity_utilization_ratio", ""), "{{instance}}"}}},
					{title: "What do the workers do?", kind: "timeseries", queries: []query{{"sum by (cicd_worker_state) (" + only("cicd_worker_count", "") + ")", "{{cicd_worker_state}}"}}},
				},
				{
					{title: "How long do jobs wait? (points open traces)", kind: "timeseries", unit: "s", queries: []query{{p90("act_runner_job_queue_duration_seconds", ""), "9 in 10"}, {p50("act_runner_job_queue_duration_seconds"), "half"}}},
					{title: "How long do jobs take? (points open traces)", kind: "timeseries", unit: "s", queries: []query{{p90("act_runner_job_duration_seconds", ""), "9 in 10"}, {p50("act_runner_job_duration_seconds"), "half"}}},
				},
				{
					{title: "How do jobs end?", kind: "timeseries", queries: []query{{"sum by (status) (increase(" + only("act_runner_job_total", "") + "[$__rate_interval]))", "{{status}}"}}},
					{title: "Which pipelines fail most, in the time shown?", kind: "table", queries: []query{{"topk(10, sum by (cicd_pipeline_name, error_type) (increase(" + only("cicd_pipeline_run_errors_total", "") + "[$__range])))", ""}}},
				},
			},
		},
		"jobs": {
			title: "Job explorer", description: "What happened in a job? Choose one in the list, or paste a trace's id from its log.",
			vars: append(instances(), text("trace", "Trace"), text("pipeline", "Pipeline")),
			rows: [][]panel{
				{{title: "Jobs", kind: "table", source: "tempo", height: 10, queries: []query{
					{`{ span.cicd.pipeline.task.run.id != nil && kind = server && span.cicd.pipeline.name =~ ".*$pipeline.*" } | select(span.cicd.pipeline.name, span.cicd.pipeline.task.name, span.cicd.pipeline.result, span.error.type)`, ""}}}},
				{{title: "The trace", kind: "traces", source: "tempo", height: 18, queries: []query{{"$trace", ""}}}},
				{{title: "Its log (with otel.job_logs)", kind: "logs", source: "loki", height: 12,
					options: map[string]any{"showTime": true, "wrapLogMessage": true, "sortOrder": "Ascending"},
					queries: []query{{`{service_name="otelrunner"} | trace_id="$trace"`, ""}}}},
				{
					{title: "Which steps' results are how frequent?", kind: "timeseries", queries: []query{{"sum by (result) (increase(" + only("act_runner_step_duration_seconds_count", "") + "[$__rate_interval]))", "{{result}}"}}},
					{title: "How long do runs of each pipeline take? (mean)", kind: "table", unit: "s", queries: []query{{
						"topk(20, sum by (cicd_pipeline_name) (increase(" + only("cicd_pipeline_run_duration_seconds_sum", "") + "[$__range])) / sum by (cicd_pipeline_name) (increase(" + only("cicd_pipeline_run_duration_seconds_count", "") + "[$__range])))", ""}}},
				},
			},
		},
		"sandbox": {
			title: "Sandboxes", description: "What do jobs wait for beside their own programs, and which limits do they hit?", vars: instances(),
			rows: [][]panel{
				{
					{title: "How long do steps take?", kind: "timeseries", unit: "s", queries: []query{{p90("act_runner_step_duration_seconds", "sandbox"), "{{sandbox}}"}}},
					{title: "What does a sandbox take before and between steps?", kind: "timeseries", unit: "s", queries: []query{{p90("act_runner_sandbox_phase_duration_seconds", "sandbox, phase"), "{{sandbox}} {{phase}}"}}},
				},
				{
					{title: "How often is what is kept of use?", kind: "timeseries", unit: "percentunit", queries: []query{{
						"sum by (cache) (rate(" + only("act_runner_cache_lookup_total", `result="hit"`) + "[$__rate_interval])) / sum by (cache) (rate(" + only("act_runner_cache_lookup_total", "") + "[$__rate_interval]))", "{{cache}}"}}},
					{title: "Which limits end programs?", kind: "timeseries", queries: []query{{"sum by (sandbox, limit) (increase(" + only("act_runner_sandbox_limit_total", "") + "[$__rate_interval])) > 0", "{{sandbox}} {{limit}}"}}},
				},
				{
					{title: "How much processor time do jobs use?", kind: "timeseries", unit: "s", queries: []query{{p90("act_runner_job_cpu_seconds", ""), "9 in 10 jobs use less"}}},
					{title: "How much memory do jobs need?", kind: "timeseries", unit: "bytes", queries: []query{{p90("act_runner_job_memory_peak_bytes", ""), "9 in 10 jobs need less"}}},
				},
			},
		},
		"health": {
			title: "Runner health", description: "Does the runner reach its server, and does it keep up?", vars: instances(),
			rows: [][]panel{
				{
					{title: "What do fetches bring?", kind: "timeseries", queries: []query{{"sum by (result) (rate(" + only("act_runner_poll_fetch_total", "") + "[$__rate_interval]))", "{{result}}"}}},
					{title: "Which calls fail?", kind: "timeseries", queries: []query{{"sum by (method) (increase(" + only("act_runner_client_errors_total", "") + "[$__rate_interval]))", "{{method}}"}}},
					{title: "How fast does the server answer?", kind: "timeseries", unit: "s", queries: []query{
						{p90("act_runner_poll_fetch_duration_seconds", ""), "FetchTask"}, {p90("act_runner_report_log_duration_seconds", ""), "UpdateLog"}, {p90("act_runner_report_state_duration_seconds", ""), "UpdateTask"}}},
				},
				{
					{title: "What waits for the server?", kind: "timeseries", queries: []query{{only("act_runner_report_log_buffer_rows", ""), "{{instance}} rows"}}},
					{title: "What does it take?", kind: "timeseries", unit: "bytes", queries: []query{{only("act_runner_report_log_buffer_bytes", ""), "{{instance}} memory"}, {only("act_runner_journal_bytes", ""), "{{instance}} disk"}}},
					{title: "Does telemetry get through?", kind: "timeseries", queries: []query{
						{"sum by (signal) (increase(" + only("act_runner_otel_export_failures_total", "") + "[$__rate_interval]))", "{{signal}} exports failed"},
						{"sum by (signal) (increase(" + only("act_runner_otel_dropped_total", "") + "[$__rate_interval]))", "{{signal}} dropped"}}},
				},
				{
					{title: "Faults of the runner's own", kind: "timeseries", queries: []query{{"sum by (error_type) (increase(" + only("cicd_system_errors_total", "") + "[$__rate_interval]))", "{{error_type}}"}}},
					{title: "Interval between fetches", kind: "timeseries", unit: "s", queries: []query{{only("act_runner_poll_backoff_seconds", ""), "{{instance}}"}}},
					{title: "Up since", kind: "table", unit: "s", queries: []query{{"sum by (instance, name, version) (" + only("act_runner_info", "") + " * on (instance) group_left " + only("act_runner_uptime_seconds", "") + ")", ""}}},
				},
			},
		},
	}
}
