mkdir -p a/b/c; echo 1 > a/b/c/f; cp -r a z; find z | sort; mv z y; ls y; rm -rf a y; ls
