// Package bench measures what the runner needs for the work that matters to its
// users, each beside a floor measured in the same run: absolute times shift with
// the machine, ratios do not. `make bench` prints the table; behaviour is tested
// elsewhere.
package bench
