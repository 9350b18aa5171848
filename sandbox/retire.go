package sandbox

import "context"

// A Retirer is a Sandbox whose removal takes long enough to be put off until the
// job's result is known.
type Retirer interface {
	Sandbox

	// Retire ends every process that the job's commands have left, without a
	// grace period. Its error names those that it could not end, and what to do
	// about them. Only Close is called after it, and has to be; what Retire has
	// told is an error of Close again.
	Retire(ctx context.Context) error
}
