mkdir d; echo 1 > d/a; tar cf x.tar d; rm -r d; tar tf x.tar; tar xf x.tar; cat d/a; tar czf x.tgz d; tar tzf x.tgz; mkdir o; tar xzf x.tgz -C o --strip-components=1; ls o; tar -cf - d | tar -tf -
