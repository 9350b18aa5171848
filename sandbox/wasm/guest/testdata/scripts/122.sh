x='a  b'; echo $x; echo "$x"; y=; echo "[${y}]"; echo ~root | head -c 0; echo a\ b
