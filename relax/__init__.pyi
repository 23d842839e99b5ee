from . import baselines as baselines
from . import metrics as metrics
from .archive.archive import load_archive as load_archive
from .archive.archive import make_archive as make_archive
from .auditing.run import audit as audit
from .estimators.budget import hoeffding_masks as hoeffding_masks
from .explainer import explain as explain
from .explanation import Explanation as Explanation
from .io.errors import ImageError as ImageError
from .io.images import read_image as read_image
from .io.secondary_capture import write_dicom as write_dicom
from .io.volumes import write_nifti as write_nifti
from .plotting.figure import figure as figure
from .probing import Probe as Probe
from .probing import probe as probe
from .questions.comparison import compare_encoders as compare_encoders
from .questions.comparison import compare_methods as compare_methods
from .questions.evaluation import evaluate as evaluate
from .questions.evaluation import evaluate_image as evaluate_image
from .questions.pairs import explain_pair as explain_pair
from .questions.trust import assess as assess
from .questions.volume import explain_volume as explain_volume
from .references import Corpus as Corpus
from .report.page import write_report as write_report
from .scene import EncoderError as EncoderError
from .scene import load_encoder as load_encoder

__version__: str
