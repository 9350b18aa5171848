package container

import "context"

// Credentials returns what looks a registry's credentials up in a config.json of
// Docker, which it reads each time; nil where file is "". A registry that is not in
// it gives "".
func Credentials(file string) func(ctx context.Context, host string) (user, password string, err error) {
	if file == "" {
		return nil
	}
	p := &Provider{options: Options{DockerConfig: file}}
	return func(_ context.Context, host string) (string, string, error) {
		all, err := p.operatorsCredentials()
		c := all[registryKey(host)]
		return c.Username, c.Password, err
	}
}
