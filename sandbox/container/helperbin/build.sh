#!/bin/sh
# Builds the helper for each architecture into bin/, from where it is embedded. The
# same source gives the same bytes.
set -eu
cd "$(dirname "$0")"
for arch in amd64 arm64; do
	out=bin/helper-linux-$arch
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch ${GO:-go} build -trimpath -buildvcs=false \
		-ldflags '-s -w -buildid=' -o $out ../helper
	gzip -9 -n -f $out
done
