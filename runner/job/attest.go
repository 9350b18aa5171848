package job

import (
	"otelrunner/otel/observe"
	"otelrunner/sandbox"

	"go.opentelemetry.io/otel/attribute"
)

// attestPrefix begins the attributes of the job's span that an attestation
// becomes.
const attestPrefix = "otelrunner.sandbox."

// attest writes what held the job and what ran in it to the log and to the job's
// span, where the sandbox can say so.
func (j *jobRun) attest() {
	a, ok := j.sandbox.(sandbox.Attester)
	if !ok {
		return
	}
	j.rows.group("Attestation")
	for _, f := range a.Attest() {
		j.rows.printf("%s: %s", f.Name, f.Value)
		observe.Attributes(j.life.hard, attribute.String(attestPrefix+f.Name, f.Value))
	}
	j.rows.endGroup()
}
