echo 'v=5; g() { echo g $v; }' > lib.sh; source ./lib.sh; g; . ./lib.sh && echo ok
