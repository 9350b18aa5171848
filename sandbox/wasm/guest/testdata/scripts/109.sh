date -u -d @0 +%Y-%m-%dT%H:%M:%SZ; date -u -d '2024-02-29 +1 day' +%F; date -d @86400 -u +%j,%u,%s
