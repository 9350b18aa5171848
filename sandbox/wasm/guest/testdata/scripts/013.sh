set -e; x=$(false; echo in); echo "out $x"
