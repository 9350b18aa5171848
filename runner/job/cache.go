package job

import (
	"context"
	"net"

	"otelrunner/sandbox"
)

// A Cache is one job's way to the server of actions/cache. Each method is called once
// at most, but for Dial.
type Cache interface {
	// Listen opens a port on this machine's loopback.
	Listen() (address string, err error)
	// Dial opens a connection within this process, from any goroutine.
	Dial(ctx context.Context) (net.Conn, error)
	// URL is what programs that reach it at address are told.
	URL(address string) string
	// Secret is the part of the URL that no log may show.
	Secret() string
	// Close ends it, and removes what was not saved to its end.
	Close()
}

// openCache finds where the job's programs reach the server of actions/cache. A module
// has no sockets, so that a job in the WASM sandbox has none.
func (j *jobRun) openCache(ctx context.Context) {
	inside, forwards := j.sandbox.(sandbox.Forwarder)
	switch {
	case j.info.Kind == sandbox.WASM:
		return
	case j.opts.CacheURL != "":
		j.cacheURL = j.opts.CacheURL
		return
	case j.opts.Cache == nil || j.info.Kind != sandbox.Host && !forwards:
		return
	}
	if j.cache = j.opts.Cache(ctx, j.task); j.cache == nil {
		return
	}
	j.sink.AddMask(j.cache.Secret())
	var address string
	var err error
	if j.info.Kind == sandbox.Host {
		address, err = j.cache.Listen()
	} else {
		asking, cancel := context.WithTimeout(ctx, endpointTime)
		defer cancel()
		address, err = inside.Forward(asking, j.cache.Dial)
	}
	if err != nil {
		j.rows.printf("No cache for the steps: %v", err)
		return
	}
	j.cacheURL = j.cache.URL(address)
}

// closeCache ends the job's way to the cache.
func (j *jobRun) closeCache() {
	if j.cache != nil {
		j.cache.Close()
	}
}

// offerCache tells a program where the cache is, unless the workflow or the operator
// says it. A container beside a host job has a loopback of its own: it reaches none but
// one elsewhere.
func (j *jobRun) offerCache(p *program, env map[string]string) {
	const name = "ACTIONS_CACHE_URL"
	at := j.cacheURL
	if p.container != nil && j.info.Kind == sandbox.Host {
		at = j.opts.CacheURL
	}
	_, set := env[name]
	_, own := j.opts.Env[name]
	if at != "" && !set && !own {
		env[name] = at
	}
}
