echo hello | base64; echo aGVsbG8K | base64 -d; echo hello | sha256sum; echo hello | md5sum; echo hello | sha1sum | cut -d' ' -f1; echo a > f; sha256sum f > s; sha256sum -c s
