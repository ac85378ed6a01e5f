# Everything a fresh machine needs is python3 with venv, and make.
PYTHON ?= python3
RUN = .venv/bin/python
DEMO = bundles/cyclegan_mri2ct_inphase/configs
DEMO_OPTIONS = --image_size 96 --load_size 96 --field_of_view 364 --channels 16 --discriminator_channels 16 \
	--batch_size 1 --max_epochs 8 --val_interval 8 --mind_weight 5 --learning_rate 0.001 \
	--train\#updates\#1\#optimizer\#lr 0.0002

.PHONY: demo test test-forty check gpu

# train a CycleGAN for minutes on built-in phantoms, then make CT of the MR of bodies that it never saw; stopped, it goes on
demo: .venv/installed
	$(RUN) -m monai.bundle run --config_file $(DEMO)/train.json $(DEMO_OPTIONS) --resume auto
	$(RUN) -m monai.bundle run --config_file $(DEMO)/inference.json
	@echo
	@echo "Look at bundles/cyclegan_mri2ct_inphase/eval/montage.png: from the left MR, the CT made of it, the true CT."
	@echo "Curves:        .venv/bin/tensorboard --logdir bundles/cyclegan_mri2ct_inphase/eval"
	@echo "Errors in HU:  .venv/bin/python -m monai.bundle run --config_file \"['$(DEMO)/train.json','$(DEMO)/evaluate.json']\""
	@echo "Your own data: .venv/bin/python -m monai.bundle run --config_file $(DEMO)/train.json --dataset_dir /data/CHAOS"
	@echo "All bundles and options: README.md"

test: .venv/installed check
	$(RUN) -m pytest -n 2 --dist loadgroup

# the same with a catalogue of forty bundles: this one's, again and again under other names, in a temporary folder
test-forty: .venv/installed
	$(RUN) -m tests.forty -n 2 --dist loadgroup

check: .venv/installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

# check and measure on a GPU of CUDA; says that it skips everything where there is none
gpu: .venv/installed
	$(RUN) -m tools gpu

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --requirement requirements.txt
	touch $@
