# High water, from the moon: every 12 hours and 25 minutes.
# high_waters HOUR MINUTE COUNT
high_waters() {
    minutes=$(($1 * 60 + $2))
    for _ in $(seq "$3"); do
        printf 'high water %02d:%02d\n' $((minutes / 60 % 24)) $((minutes % 60))
        minutes=$((minutes + 745))
    done
}
