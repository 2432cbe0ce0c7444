#!/usr/bin/env bash
# What a lent GPU is for, in one or two calls; everything it needs lies in folders that gpu_drill.py packed.
#
#   bash tools/gpu_drill.sh PARTS OUT measure           tests, agreement, speed, profile
#   bash tools/gpu_drill.sh PARTS OUT train SECONDS     the authors' network fine-tuned, then `small` taught by it
#
# Settings by environment: DRILL (work folder), TEACHER_SHARE (percent of the time; 0 leaves the teacher as packed), BATCH, CROP, SMALL_BATCH, SMALL_CROP, WORKERS,
# DEVICE, SET (--set arguments for both trainings), MINUTES (for the measurements). Each stage has a time limit and
# writes what it found as it goes, so a call that is cut off loses only the rest.
set -u
parts=$1 out=$2 mode=$3 seconds=${4:-420}
drill=${DRILL:-/tmp/craft_drill} device=${DEVICE:-cuda} workers=${WORKERS:-14} start=$SECONDS
python=${PYTHON:-python3}
mkdir -p "$drill" "$out"
say() { echo "[$((SECONDS - start)) s] $*"; }
left() { echo $((seconds - (SECONDS - start))); }

$python tools/gpu_drill.py unpack "$parts" "$drill" || exit 1
if compgen -G "$drill/wheels/*.whl" > /dev/null && [ ! -d "$drill/site" ]; then
  $python -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$drill/site" "$drill"/wheels/*.whl || exit 1
fi
export PYTHONPATH=$PWD:$drill/site PYTHONUNBUFFERED=1 NO_ALBUMENTATIONS_UPDATE=1 OMP_NUM_THREADS=1
say "unpacked: $(find "$drill" -name '*.bmp' | wc -l) images"
sets=$(find "$drill/train" -name scenes.jsonl | sort | sed 's/.*/{path: &, weight: WEIGHT}/')
weights=(${SHARES:-4 4 1.2 2})
index=0 train=""
for line in $(echo "$sets" | sed 's/ //g'); do
  train+="${train:+, }$(echo "$line" | sed "s/:/: /g; s/,/, /; s/WEIGHT/${weights[$index]:-1}/")"
  index=$((index + 1))
done
cat > "$drill/base.yaml" <<YAML
extends: $PWD/configs/finetune_mlt.yaml
data:
  train: [$train]
  validation: [{path: $(find "$drill/validation" -name scenes.jsonl | head -1)}]
  on_error: skip
  workers: $workers
  crop_size: ${CROP:-640}
weights: $drill/teacher.safetensors
optimizer: {learning_rate: ${RATE:-1e-4}}
training: {batch_size: ${BATCH:-16}, device: $device, save_every: 100000, pictures_every: 100000, validate_every: ${VALIDATE:-2500}}
YAML

train_teacher() {
  $python tools/gpu_drill.py train "$drill/base.yaml" "$out/teacher" "$1" --set training.steps=1000000 ${SET:-} > "$out/teacher.log" 2>&1
  say "teacher: status $?"
}

train_small() {
  local teacher=$out/teacher/last.pt
  [ -f "$teacher" ] || teacher=$drill/teacher.safetensors
  cat > "$drill/small.yaml" <<YAML
extends: base.yaml
data: {crop_size: ${SMALL_CROP:-512}}
weights: ${SMALL:-small}
model: {width: ${SMALL_WIDTH:-0.4375}}
distillation: {weights: $teacher, share: ${SHARE:-0.6}}
optimizer: {learning_rate: ${SMALL_RATE:-5e-4}}
training: {seed: 2, batch_size: ${SMALL_BATCH:-32}}
detection: {magnify: 1.25, canvas: 2240}
YAML
  $python tools/gpu_drill.py train "$drill/small.yaml" "$out/small" "$1" --set training.steps=1000000 ${SET:-} > "$out/small.log" 2>&1
  say "small: status $?"
}

collect() {
  mkdir -p "$out/back"
  for name in ${COLLECT-teacher small}; do
    for kind in last.pt best.safetensors; do
      [ -f "$out/$name/$kind" ] || continue
      $python tools/gpu_drill.py split "$out/$name/$kind" "$out/back" "$name"
      break
    done
  done
  (cd "$out" && tar czf "$drill/logs.tgz" --exclude='*.pt' --exclude='*.safetensors' --exclude=back --exclude='*.part*' . && mv "$drill/logs.tgz" back/logs.tgz)
  find "$out" -mindepth 1 -maxdepth 1 ! -name back -exec rm -rf {} +
  ls -l "$out/back"
}

case $mode in
  measure)
    (cd "$out" && timeout 60 $python -m craft train "$drill/base.yaml" --out warm --set training.steps=1 --set training.device=cpu --set model.width=0.0625 --set weights=null --set data.workers=0 --set training.precision=fp32 --set data.validation=[] --set data.crop_size=128 > warm.log 2>&1; rm -rf warm)
    say "kernels compiled: status $?"
    data=$(find "$drill/train" -name scenes.jsonl | sort | head -1)
    $python benchmarks/speed/gpu.py --out "$out" --data "$data" --device "$device" --workers "$workers" --minutes "${MINUTES:-4}" ${EASYOCR:+--easyocr "$EASYOCR"} ${STAGES:+--stages "$STAGES"} ${TINY:+--tiny}
    cat "$out/summary.md" ;;
  train)
    # A start takes 15 s beside the training, the way back 25 s.
    [ "${TEACHER_SHARE:-53}" -eq 0 ] || train_teacher $((($(left) - 55) * ${TEACHER_SHARE:-53} / 100))
    train_small $(($(left) - 45)) ;;
esac
collect
for log in teacher small; do [ -f "$out/$log.log" ] && tail -c 800 "$out/$log.log"; done
say done
