f() { trap 'echo ret' RETURN; echo inf; }
f
trap 'echo err $?' ERR
false
false || true
if false; then :; fi
! true
(exit 4)
g() { false; }; g
trap - ERR; false; echo end
trap 'echo usr' USR1; kill -USR1 $$; echo after
