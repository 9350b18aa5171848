package wasm

// Spares is how many workers are ready for the next jobs.
func (p *Provider) Spares() int { return len(p.spares) }
