package container

import "context"

// CheckFlags says what is wrong with a text for Options.Flags.
func CheckFlags(flags string) error {
	return newSettings(volumePolicy{all: true}).parse(flags, operator)
}

// Look asks the engine whether it is there: once, also one that has answered
// before, and for 5 s at most. An engine that does not answer is waited for by
// the next job, as Options.Timeout says.
func (p *Provider) Look(ctx context.Context) error { return p.engine.look(ctx) }

// Reach waits until the engine answers, for Options.Timeout at most; log is told,
// once, that it waits. An engine that has answered and has not failed since is not
// asked.
func (p *Provider) Reach(ctx context.Context, log func(line string)) error {
	_, err := p.engine.reach(ctx, log)
	return err
}
