set -u; echo "${nope:-dflt}"; echo "$nope2"; echo never
