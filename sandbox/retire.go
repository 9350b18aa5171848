package sandbox

// A Retirer is a Sandbox whose removal takes long enough to be put off until the
// job's result is known.
type Retirer interface {
	Sandbox

	// Retire ends every process that the job's commands have left, at once,
	// without waiting for it. Only Close is called after it, and has to be.
	Retire()
}
