cat > s.sh <<'E'
#!/bin/sh
echo "script $1 $#"
exit 9
E
chmod +x s.sh; ./s.sh a b; echo $?; sh s.sh q; . ./s.sh
