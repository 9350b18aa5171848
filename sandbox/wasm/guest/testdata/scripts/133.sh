stat -c '%s %F' /dev/null > /dev/null; echo abc > f; stat -c '%n %s %F' f; du -b f | cut -f1; ls -d . ; ls f nosuch 2>/dev/null; echo $?
